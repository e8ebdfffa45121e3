//! Draws the staircase of one layer of a recorded profile as an SVG image:
//!
//!     cargo run --example latency_steps -- fixtures/profiles/h100_conv256_b64.json 256 14 docs/latency_steps.svg

use std::path::Path;

use snapprune::optimize::LatencySteps;
use snapprune::profile::Profile;
use snapprune::report::latency_steps_svg;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [profile, cin, space, out] = args.as_slice() else {
        return Err("usage: latency_steps PROFILE.json INPUT_CHANNELS HEIGHT OUT.svg".into());
    };
    let (cin, space): (usize, usize) = (cin.parse()?, space.parse()?);
    let profile = Profile::read(Path::new(profile))?;
    let is_layer = |c: usize, s: &[usize], k: &[usize]| c == cin && s.first() == Some(&space) && k == [3, 3];
    let found = profile.records.iter().map(|r| &r.problem);
    let problem = found
        .filter(|p| is_layer(p.cin, &p.space, &p.kernel))
        .min_by_key(|p| p.cout.abs_diff(cin));
    let problem = problem.ok_or("the profile has no such layer")?;
    let mut latency_steps = LatencySteps::new("", problem);
    latency_steps.recorded(&profile);
    let about = format!(
        "Time of a 3×3 convolution against its width on an {}",
        profile.device.name
    );
    std::fs::write(out, latency_steps_svg(&latency_steps, &about))?;
    Ok(())
}
