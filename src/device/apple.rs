//! What macOS says of a processor, in the words of Linux's `/proc/cpuinfo`.

use std::process::{Command, Stdio};

/// Apple's names of instructions, and Linux's where they differ in more than case.
const X86: [(&str, &str); 3] = [("sse4.2", "sse4_2"), ("avx1.0", "avx"), ("avx512vnni", "avx512_vnni")];
const ARM: [(&str, &str); 6] = [
    ("FEAT_FP16", "asimdhp"),
    ("FEAT_DotProd", "asimddp"),
    ("FEAT_I8MM", "i8mm"),
    ("FEAT_BF16", "bf16"),
    ("FEAT_SME", "sme"),
    ("FEAT_SME2", "sme2"),
];

/// What `sysctl` says of the processor; empty on other systems.
pub(super) fn sysctl() -> String {
    if !cfg!(target_os = "macos") {
        return String::new();
    }
    let mut command = Command::new("/usr/sbin/sysctl");
    command
        .args(["machdep.cpu", "hw.optional"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let said = command.output().map(|o| o.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said).into_owned()
}

/// The same as fields of `/proc/cpuinfo`.
pub(super) fn cpuinfo(sysctl: &str) -> String {
    let fields: Vec<(&str, &str)> = sysctl
        .lines()
        .filter_map(|l| l.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let field = |name: &str| fields.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let mut lines = Vec::new();
    for (linux, apple) in [
        ("model name", "machdep.cpu.brand_string"),
        ("cpu family", "machdep.cpu.family"),
        ("model", "machdep.cpu.model"),
        ("stepping", "machdep.cpu.stepping"),
    ] {
        lines.extend(field(apple).map(|value| format!("{linux}: {value}\n")));
    }
    let words = ["machdep.cpu.features", "machdep.cpu.leaf7_features"].into_iter();
    let words = words.filter_map(field).flat_map(str::split_whitespace);
    let flags: Vec<String> = words.map(|word| linux(&word.to_lowercase())).collect();
    let has = |feature: &str| field(&format!("hw.optional.arm.{feature}")) == Some("1");
    let mut features: Vec<&str> = ARM.iter().filter(|(apple, _)| has(apple)).map(|(_, l)| *l).collect();
    if field("hw.optional.arm64") == Some("1") {
        features.insert(0, "asimd");
    }
    if !flags.is_empty() {
        lines.push(format!("flags: {}\n", flags.join(" ")));
    }
    if !features.is_empty() {
        lines.push(format!("Features: {}\n", features.join(" ")));
    }
    lines.concat()
}

fn linux(apple: &str) -> String {
    let known = X86.iter().find(|(name, _)| *name == apple);
    known.map_or(apple, |(_, linux)| *linux).to_owned()
}

#[cfg(test)]
mod tests {
    use super::cpuinfo;

    #[test]
    fn an_apple_processor_is_told_by_its_name_and_instructions() {
        let said = "machdep.cpu.cores_per_package: 8\nmachdep.cpu.brand_string: Apple M2\nhw.optional.arm64: 1\n\
                    hw.optional.arm.FEAT_BF16: 1\nhw.optional.arm.FEAT_SME: 0\nhw.optional.arm.FEAT_DotProd: 1\n";
        assert_eq!(cpuinfo(said), "model name: Apple M2\nFeatures: asimd asimddp bf16\n");
    }

    #[test]
    fn an_intel_processor_has_the_flags_that_linux_gives_it() {
        let said = "machdep.cpu.brand_string: Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz\nmachdep.cpu.family: 6\n\
                    machdep.cpu.model: 158\nmachdep.cpu.stepping: 10\nmachdep.cpu.features: FPU SSE4.2 FMA F16C AVX1.0\n\
                    machdep.cpu.leaf7_features: RDWRFSGS AVX2 BMI2\n";
        let expected = "model name: Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz\ncpu family: 6\nmodel: 158\nstepping: 10\n\
                        flags: fpu sse4_2 fma f16c avx rdwrfsgs avx2 bmi2\n";
        assert_eq!(cpuinfo(said), expected);
    }

    #[test]
    fn what_says_nothing_is_nothing() {
        assert_eq!(cpuinfo(""), "");
    }
}
