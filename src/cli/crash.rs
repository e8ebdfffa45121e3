//! A library that crashes takes the process along. Then at least it is told what happened, and what is kept.

use std::sync::OnceLock;

/// What is written when a signal ends the process, by signal.
type Words = Vec<(libc::c_int, Vec<u8>)>;

static WORDS: OnceLock<Words> = OnceLock::new();
/// The exit status of a command that a crash ended.
const CRASHED: libc::c_int = 2;

/// Signals by which code ends that does what it must not.
fn signals() -> [(libc::c_int, &'static str); 5] {
    [
        (libc::SIGSEGV, "segmentation fault"),
        (libc::SIGBUS, "bus error"),
        (libc::SIGILL, "illegal instruction"),
        (libc::SIGFPE, "arithmetic"),
        (libc::SIGABRT, "abort"),
    ]
}

fn words(what: &str, plugin: Option<&str>) -> Vec<u8> {
    let runs = match plugin {
        Some(name) => format!("the provider {name}, or ONNX Runtime"),
        None => "ONNX Runtime or the provider".to_owned(),
    };
    let next = match plugin {
        Some(_) => {
            "\n  → `snapprune doctor` tries every plug-in by itself; its maker can tell which versions of ONNX Runtime it is for"
        }
        None => "\n  → if ONNX Runtime runs the model by itself, please report it",
    };
    format!(
        "\nsnapprune: a library crashed: {what}, in {runs} most likely. What was timed stays in the database, and the same command goes on \
         from there; files are written whole or not at all{next}\n"
    )
    .into_bytes()
}

/// From here on a crash says so before it ends the process with status 2; `plugin` names the provider that is loaded, if it is one of others.
pub(super) fn tell(plugin: Option<&str>) {
    let all = signals().map(|(signal, name)| (signal, words(name, plugin)));
    if WORDS.set(all.to_vec()).is_err() {
        return;
    }
    for (signal, _) in signals() {
        // SAFETY: the handler only does what is allowed in one; it runs on the stack that Rust's own handler has, since a thread may
        // have used up its own.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = ended as *const () as usize;
            action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

extern "C" fn ended(signal: libc::c_int) {
    let all = WORDS.get().map(Vec::as_slice).unwrap_or_default();
    // SAFETY: both may be called in a handler, and the words were made before.
    unsafe {
        if let Some((_, words)) = all.iter().find(|(of, _)| *of == signal) {
            let _ = libc::write(libc::STDERR_FILENO, words.as_ptr().cast(), words.len());
        }
        libc::_exit(CRASHED);
    }
}
