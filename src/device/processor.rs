//! What a processor is, from what the system says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::apple;
use super::info::fingerprint;

/// What the system says.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// `/proc/cpuinfo`, or on macOS what stands in its place; empty where there is neither.
    pub cpuinfo: String,
    /// MIDR_EL1 of every core of an ARM processor, as Linux writes them.
    pub midr: Vec<String>,
    /// The board, as the device tree names it.
    pub board: String,
    /// The architecture, such as `x86_64`.
    pub arch: String,
    /// The cores that may be used.
    pub cores: usize,
}

impl Said {
    /// Of this machine.
    pub(super) fn here() -> Self {
        let text = |path: &Path| std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned());
        let cpus = std::fs::read_dir("/sys/devices/system/cpu")
            .into_iter()
            .flatten()
            .flatten();
        let midr = cpus.filter_map(|cpu| text(&cpu.path().join("regs/identification/midr_el1")).ok());
        Self {
            cpuinfo: text(Path::new("/proc/cpuinfo")).unwrap_or_else(|_| apple::cpuinfo(&apple::sysctl())),
            midr: midr.collect(),
            board: text(Path::new("/proc/device-tree/model")).unwrap_or_default(),
            arch: std::env::consts::ARCH.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// A processor.
#[derive(Debug, PartialEq)]
pub(super) struct Processor {
    /// Its name, for people.
    pub name: String,
    /// All that kernels and their times depend on, by name.
    pub facts: BTreeMap<String, String>,
    /// Fingerprints under which earlier versions, which knew fewer facts, kept times of this very processor.
    pub former: Vec<String>,
}

/// Instructions that ONNX Runtime's kernels are chosen by, beside the widest of [`SIMD`].
const INSTRUCTIONS: [&str; 24] = [
    // x86: fused products, half precision, products of integers and of bfloat16, tiles.
    "fma",
    "f16c",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "avx_vnni",
    "avx_vnni_int8",
    "avx10",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "amx_fp16",
    // ARM: the same.
    "asimd",
    "asimdhp",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
    "sve2",
    "svei8mm",
    "sme",
    "sme2",
];

/// Levels of x86, the widest first.
const SIMD: [&str; 4] = ["avx512f", "avx2", "avx", "sse4_2"];

/// The processor that all this describes.
pub(super) fn processor(said: &Said) -> Processor {
    let field = |name: &str| values(&said.cpuinfo, name).next().map(str::to_owned);
    let mut facts = BTreeMap::new();
    let mut insert = |name: &str, value: String| {
        if !value.is_empty() {
            facts.insert(name.to_owned(), value);
        }
    };
    let parts = parts(said);
    let model = field("model name").filter(|_| parts.is_empty());
    insert("model", model.clone().unwrap_or_else(|| said.arch.clone()));
    for (fact, name) in [
        ("family", "cpu family"),
        ("number", "model"),
        ("stepping", "stepping"),
        ("cache", "cache size"),
    ] {
        insert(fact, field(name).unwrap_or_default());
    }
    let flags = common(&said.cpuinfo, "flags");
    let widest = SIMD.into_iter().find(|f| flags.contains(f));
    insert("simd", widest.unwrap_or(&said.arch).to_owned());
    insert("cores", said.cores.to_string());
    // What is inserted from here on was not known to earlier versions. A name of x86 says enough that what they kept is of this
    // processor; `aarch64` alone does not.
    let former = match parts.is_empty() && !flags.is_empty() {
        true => vec![fingerprint(&facts)],
        false => Vec::new(),
    };
    let mut insert = |name: &str, value: String| {
        if !value.is_empty() {
            facts.insert(name.to_owned(), value);
        }
    };
    let features = common(&said.cpuinfo, "Features");
    let has = |i: &&str| flags.contains(i) || features.contains(i);
    insert(
        "instructions",
        INSTRUCTIONS.into_iter().filter(has).collect::<Vec<_>>().join(" "),
    );
    let ids: Vec<String> = parts.iter().map(Part::id).collect();
    insert("parts", ids.join(" + "));
    let board = said.board.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    insert("board", board.to_owned());
    // RISC-V.
    insert("isa", field("isa").unwrap_or_default());
    insert("microarchitecture", field("uarch").unwrap_or_default());
    let names: BTreeSet<String> = parts.iter().map(Part::name).collect();
    let named = names.into_iter().collect::<Vec<_>>().join(" + ");
    let name = model.or(Some(named).filter(|n| !n.is_empty()));
    Processor {
        name: name.unwrap_or_else(|| format!("CPU ({})", said.arch)),
        former: former.into_iter().filter(|f| *f != fingerprint(&facts)).collect(),
        facts,
    }
}

/// The values of a field, one for each core that has it.
fn values<'t>(cpuinfo: &'t str, name: &'t str) -> impl Iterator<Item = &'t str> {
    let lines = cpuinfo.lines().filter_map(|l| l.split_once(':'));
    lines
        .filter(move |(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

/// The words of a field that all cores have.
fn common<'t>(cpuinfo: &'t str, name: &'t str) -> BTreeSet<&'t str> {
    let words = values(cpuinfo, name).map(|v| v.split_whitespace().collect::<BTreeSet<_>>());
    words.reduce(|a, b| &a & &b).unwrap_or_default()
}

/// A kind of core, as ARM's MIDR_EL1 tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    implementer: u64,
    part: u64,
    variant: u64,
    revision: u64,
}

impl Part {
    /// From the register (ARM Architecture Reference Manual, MIDR_EL1).
    fn of_register(midr: u64) -> Self {
        Self {
            implementer: midr >> 24 & 0xff,
            variant: midr >> 20 & 0xf,
            part: midr >> 4 & 0xfff,
            revision: midr & 0xf,
        }
    }

    fn id(&self) -> String {
        let Self {
            implementer,
            part,
            variant,
            revision,
        } = self;
        format!("{implementer:#04x}/{part:#05x} r{variant}p{revision}")
    }

    /// The name that its maker gives it, where it is known here. Fingerprints do not hang on it.
    fn name(&self) -> String {
        let name = match (self.implementer, self.part) {
            (0x41, 0xd03) => "Cortex-A53",
            (0x41, 0xd05) => "Cortex-A55",
            (0x41, 0xd07) => "Cortex-A57",
            (0x41, 0xd08) => "Cortex-A72",
            (0x41, 0xd09) => "Cortex-A73",
            (0x41, 0xd0a) => "Cortex-A75",
            (0x41, 0xd0b) => "Cortex-A76",
            (0x41, 0xd0c) => "Neoverse N1",
            (0x41, 0xd0d) => "Cortex-A77",
            (0x41, 0xd40) => "Neoverse V1",
            (0x41, 0xd41) => "Cortex-A78",
            (0x41, 0xd42) => "Cortex-A78AE",
            (0x41, 0xd44) => "Cortex-X1",
            (0x41, 0xd46) => "Cortex-A510",
            (0x41, 0xd47) => "Cortex-A710",
            (0x41, 0xd48) => "Cortex-X2",
            (0x41, 0xd49) => "Neoverse N2",
            (0x41, 0xd4d) => "Cortex-A715",
            (0x41, 0xd4e) => "Cortex-X3",
            (0x41, 0xd4f) => "Neoverse V2",
            (0x41, 0xd80) => "Cortex-A520",
            (0x41, 0xd81) => "Cortex-A720",
            (0x41, 0xd82) => "Cortex-X4",
            (0x41, 0xd84) => "Neoverse V3",
            (0x41, 0xd8e) => "Neoverse N3",
            (0x46, 0x001) => "A64FX",
            (0xc0, 0xac3) => "Ampere-1",
            (0xc0, 0xac4) => "Ampere-1A",
            _ => return format!("ARM {:#04x}/{:#05x}", self.implementer, self.part),
        };
        name.to_owned()
    }
}

/// The kinds of cores of an ARM processor, each once; none elsewhere.
fn parts(said: &Said) -> BTreeSet<Part> {
    let numbers = |name| values(&said.cpuinfo, name).map(number);
    let (implementers, parts) = (numbers("CPU implementer"), numbers("CPU part"));
    let (variants, revisions) = (numbers("CPU variant"), numbers("CPU revision"));
    let listed: BTreeSet<Part> = implementers
        .zip(parts)
        .zip(variants.zip(revisions))
        .filter_map(|((implementer, part), (variant, revision))| {
            Some(Part {
                implementer: implementer?,
                part: part?,
                variant: variant?,
                revision: revision?,
            })
        })
        .collect();
    if !listed.is_empty() {
        return listed;
    }
    let registers = said.midr.iter().filter_map(|text| number(text.trim()));
    registers.map(Part::of_register).collect()
}

/// A number in decimal, or in hexadecimal after `0x`.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
#[path = "processor_tests.rs"]
mod tests;
