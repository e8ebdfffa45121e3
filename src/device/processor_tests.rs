use super::{Processor, Said, processor};
use crate::device::info::fingerprint;

/// `count` cores that say the same.
fn cores(count: usize, lines: &[(&str, &str)]) -> String {
    let one = |k: usize| {
        let rest: String = lines.iter().map(|(key, value)| format!("{key}\t: {value}\n")).collect();
        format!("processor\t: {k}\n{rest}\n")
    };
    (0..count).map(one).collect()
}

fn seen(arch: &str, cpuinfo: String) -> Processor {
    let cores = cpuinfo.matches("processor\t").count().max(1);
    processor(&Said {
        cpuinfo,
        arch: arch.to_owned(),
        cores,
        ..Said::default()
    })
}

fn x86(name: &str, [family, model, stepping]: [&str; 3], cache: &str, flags: &str) -> String {
    cores(
        4,
        &[
            (
                "vendor_id",
                if name.starts_with("AMD") {
                    "AuthenticAMD"
                } else {
                    "GenuineIntel"
                },
            ),
            ("cpu family", family),
            ("model", model),
            ("model name", name),
            ("stepping", stepping),
            ("microcode", "0xa0011d5"),
            ("cpu MHz", "2445.402"),
            ("cache size", cache),
            ("flags", flags),
        ],
    )
}

const EPYC: &str = "fpu vme de pse sse sse2 ssse3 fma cx16 sse4_1 sse4_2 avx f16c avx2 sha_ni vaes";
const XEON: &str = "fpu vme sse4_2 avx f16c fma avx2 avx512f avx512dq avx512bw avx512vl avx512_vnni avx_vnni avx512_bf16 avx512_fp16 \
                    amx_bf16 amx_tile amx_int8";

fn epyc(flags: &str) -> Processor {
    seen(
        "x86_64",
        x86("AMD EPYC 7763 64-Core Processor", ["25", "1", "1"], "512 KB", flags),
    )
}

fn xeon(flags: &str) -> Processor {
    seen(
        "x86_64",
        x86("Intel(R) Xeon(R) Platinum 8481C", ["6", "143", "8"], "107520 KB", flags),
    )
}

fn arm(implementer: &str, part: &str, [variant, revision]: [&str; 2], features: &str) -> Vec<(String, String)> {
    [
        ("BogoMIPS", "50.00"),
        ("Features", features),
        ("CPU implementer", implementer),
        ("CPU architecture", "8"),
        ("CPU variant", variant),
        ("CPU part", part),
        ("CPU revision", revision),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .to_vec()
}

fn arm_cores(count: usize, lines: &[(String, String)]) -> String {
    let lines: Vec<(&str, &str)> = lines.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    cores(count, &lines)
}

const N1: &str =
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp ssbs";
const V1: &str = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma lrcpc dcpop sha3 sm3 sm4 asimddp \
                  sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs paca pacg dcpodp svei8mm svebf16 i8mm bf16 dgh rng";
const A72: &str = "fp asimd evtstrm crc32 cpuid";

fn altra() -> String {
    arm_cores(4, &arm("0x41", "0xd0c", ["0x3", "1"], N1))
}

fn graviton3() -> String {
    arm_cores(4, &arm("0x41", "0xd40", ["0x1", "1"], V1))
}

fn pi4() -> String {
    let text = arm_cores(4, &arm("0x41", "0xd08", ["0x0", "3"], A72));
    format!(
        "{text}Hardware\t: BCM2835\nRevision\t: c03114\nSerial\t\t: 10000000abcdef01\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
    )
}

fn facts<'p>(processor: &'p Processor, name: &str) -> &'p str {
    processor.facts.get(name).map_or("", String::as_str)
}

fn key(processor: &Processor) -> String {
    fingerprint(&processor.facts)
}

#[test]
fn x86_is_told_with_its_integer_and_bfloat16_instructions() {
    let (amd, intel) = (epyc(EPYC), xeon(XEON));
    assert_eq!(amd.name, "AMD EPYC 7763 64-Core Processor");
    assert_eq!(facts(&amd, "simd"), "avx2");
    assert_eq!(facts(&amd, "instructions"), "fma f16c");
    assert_eq!(facts(&intel, "simd"), "avx512f");
    assert_eq!(
        facts(&intel, "instructions"),
        "fma f16c avx512bw avx512vl avx512_vnni avx512_bf16 avx512_fp16 avx_vnni amx_tile amx_int8 amx_bf16"
    );
    for hidden in ["amx_int8", "avx512_vnni", "avx_vnni ", "avx512_bf16"] {
        assert_ne!(key(&intel), key(&xeon(&XEON.replace(hidden, ""))), "{hidden}");
    }
}

#[test]
fn a_processor_of_x86_knows_the_key_that_it_had() {
    // As version 0.1.0 made it of the same text.
    let old = "cache=512 KB;cores=4;family=25;model=AMD EPYC 7763 64-Core Processor;number=1;simd=avx2;stepping=1";
    let old = blake3::hash(old.as_bytes()).to_hex()[..16].to_owned();
    let amd = epyc(EPYC);
    assert_eq!(amd.former, std::slice::from_ref(&old));
    assert_ne!(key(&amd), old);
    // One without any of the instructions is described as it was.
    let bare = epyc("fpu sse4_2");
    assert!(bare.former.is_empty());
}

#[test]
fn processors_of_arm_are_told_apart() {
    let [altra, graviton, pi] = [altra(), graviton3(), pi4()].map(|t| seen("aarch64", t));
    assert_eq!(altra.name, "Neoverse N1");
    assert_eq!(facts(&altra, "parts"), "0x41/0xd0c r3p1");
    assert_eq!(facts(&altra, "instructions"), "asimd asimdhp asimddp");
    assert_eq!(graviton.name, "Neoverse V1");
    assert_eq!(
        facts(&graviton, "instructions"),
        "asimd asimdhp asimddp i8mm bf16 sve svei8mm"
    );
    assert_eq!(pi.name, "Cortex-A72");
    assert_eq!(facts(&pi, "instructions"), "asimd");
    let keys = [key(&altra), key(&graviton), key(&pi)];
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    // Earlier versions knew all of them as the same: none of those times are taken for theirs.
    assert!([altra, graviton, pi].iter().all(|p| p.former.is_empty()));
    let newer = arm_cores(4, &arm("0x41", "0xd0c", ["0x4", "0"], N1));
    assert_ne!(key(&seen("aarch64", newer)), keys[0]);
}

#[test]
fn all_kinds_of_cores_count_and_instructions_only_where_all_have_them() {
    let little = arm("0x41", "0xd05", ["0x1", "0"], "fp asimd asimdhp asimddp");
    let big = arm("0x41", "0xd0b", ["0x3", "0"], "fp asimd asimdhp asimddp bf16");
    let first = arm_cores(4, &little) + &arm_cores(4, &big);
    let turned = arm_cores(4, &big) + &arm_cores(4, &little);
    let both = seen("aarch64", first);
    assert_eq!(both.name, "Cortex-A55 + Cortex-A76");
    assert_eq!(facts(&both, "parts"), "0x41/0xd05 r1p0 + 0x41/0xd0b r3p0");
    assert_eq!(facts(&both, "instructions"), "asimd asimdhp asimddp");
    assert_eq!(key(&both), key(&seen("aarch64", turned)));
    assert_ne!(key(&both), key(&seen("aarch64", arm_cores(8, &little))));
}

#[test]
fn registers_serve_where_the_text_does_not_tell_and_say_the_same() {
    let silent = |cpuinfo: String, midr: &[&str]| {
        processor(&Said {
            cpuinfo,
            midr: midr.iter().map(|m| (*m).to_owned()).collect(),
            arch: "aarch64".to_owned(),
            cores: 4,
            board: "Raspberry Pi 4 Model B Rev 1.4\0".to_owned(),
        })
    };
    let features = cores(4, &[("BogoMIPS", "108.00"), ("Features", A72)]);
    let told = silent(features, &["0x00000000410fd083\n", "0x00000000410fd083\n"]);
    assert_eq!(told.name, "Cortex-A72");
    assert_eq!(facts(&told, "parts"), "0x41/0xd08 r0p3");
    assert_eq!(facts(&told, "board"), "Raspberry Pi 4 Model B Rev 1.4");
    assert_eq!(key(&told), key(&silent(pi4(), &[])));
}

#[test]
fn an_unknown_part_has_its_numbers_for_a_name() {
    let text = arm_cores(1, &arm("0x51", "0xc00", ["0x2", "1"], "fp asimd"));
    assert_eq!(seen("aarch64", text).name, "ARM 0x51/0xc00");
}

#[test]
fn where_nothing_is_told_the_architecture_stands() {
    for odd in [
        "",
        "no colon\n",
        "flags\t:\n",
        "CPU part\t: 0xd0c\n",
        "CPU implementer\t: many\nCPU part\t: 0x\n",
    ] {
        let found = seen("riscv64", odd.to_owned());
        assert_eq!(found.name, "CPU (riscv64)", "{odd}");
        assert_eq!(facts(&found, "simd"), "riscv64");
        assert!(found.former.is_empty());
    }
    let board = seen(
        "riscv64",
        "processor\t: 0\nisa\t: rv64imafdcv\nuarch\t: sifive,u74-mc\n".to_owned(),
    );
    assert_eq!(facts(&board, "isa"), "rv64imafdcv");
}

#[test]
fn this_machine_is_told() {
    let here = processor(&Said::here());
    assert!(!here.name.is_empty() && here.facts.contains_key("cores"));
}
