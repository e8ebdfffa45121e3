//! A library that crashes, or ends the process, takes the job along. Then at least it is told what happened, and what is kept.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// A signal by which code ends that does what it must not: what is written then, and what was done about it before.
struct Ended {
    signal: libc::c_int,
    words: Vec<u8>,
    before: libc::sigaction,
}

static ALL: OnceLock<Vec<Ended>> = OnceLock::new();

/// `abort` comes last: a library may end so on purpose, and memory that is not to be had does.
fn signals() -> [(libc::c_int, &'static str); 5] {
    [
        (libc::SIGSEGV, "crashed (segmentation fault)"),
        (libc::SIGBUS, "crashed (bus error)"),
        (libc::SIGILL, "crashed (illegal instruction)"),
        (libc::SIGFPE, "crashed (arithmetic)"),
        (libc::SIGABRT, "was aborted"),
    ]
}

fn words(what: &str, plugin: Option<&str>) -> Vec<u8> {
    let runs = match plugin {
        Some(name) => format!("the provider {name} or ONNX Runtime"),
        None => "ONNX Runtime or the provider".to_owned(),
    };
    let next = match plugin {
        Some(_) => {
            "`snapprune doctor` tries every plug-in by itself; its maker can tell which versions of ONNX Runtime it is for"
        }
        None => "if ONNX Runtime runs the model by itself, please report it",
    };
    format!(
        "\nsnapprune: the process {what}, most likely in {runs}. What was timed stays in the database, and the same command goes on from \
         there; files are written whole or not at all\n  → {next}\n"
    )
    .into_bytes()
}

/// Whether the command ends the process itself.
static DONE: AtomicBool = AtomicBool::new(false);
/// The exit status of a command that a library ended.
const ENDED: libc::c_int = 2;

/// From here on the process ends as the command wants it to.
pub(super) fn done() {
    DONE.store(true, Ordering::Relaxed);
}

/// Nothing but the command may end the process: what a library's call of `exit` gives would be taken for the command's status.
extern "C" fn ending() {
    if DONE.load(Ordering::Relaxed) {
        return;
    }
    const WORDS: &str = "\nsnapprune: a library ended the process, most likely a provider that is a plug-in. What was timed stays in the database\n";
    // SAFETY: both may be called while a process ends.
    unsafe {
        libc::write(libc::STDERR_FILENO, WORDS.as_ptr().cast(), WORDS.len());
        libc::_exit(ENDED);
    }
}

/// From here on a crash says so before it ends the process as it would have; `plugin` names the provider that is loaded, if it is one of
/// others.
pub(super) fn tell(plugin: Option<&str>) {
    let all = signals().map(|(signal, what)| Ended {
        signal,
        words: words(what, plugin),
        before: replaced(signal, None),
    });
    if ALL.set(all.into()).is_ok() {
        // SAFETY: the function takes and gives nothing, and is there as long as the process.
        unsafe {
            libc::atexit(ending);
        }
        for (signal, _) in signals() {
            replaced(signal, Some(ended));
        }
    }
}

/// What was done about a signal before; from here on `handler` is called, if one is given. It runs on the stack that Rust's own handler has,
/// since a thread may have used up its own.
fn replaced(signal: libc::c_int, handler: Option<extern "C" fn(libc::c_int)>) -> libc::sigaction {
    // SAFETY: both are plain data, and the handler only does what is allowed in one.
    unsafe {
        let (mut new, mut before): (libc::sigaction, libc::sigaction) = (std::mem::zeroed(), std::mem::zeroed());
        let action = match handler {
            Some(handler) => {
                new.sa_sigaction = handler as *const () as usize;
                new.sa_flags = libc::SA_ONSTACK;
                &raw const new
            }
            None => std::ptr::null(),
        };
        libc::sigaction(signal, action, &raw mut before);
        before
    }
}

/// Says what happened, and leaves the rest to what was there before: the instruction that failed runs again, and `abort` goes on.
extern "C" fn ended(signal: libc::c_int) {
    let all = ALL.get().map(Vec::as_slice).unwrap_or_default();
    let Some(own) = all.iter().find(|e| e.signal == signal) else {
        return;
    };
    // SAFETY: both may be called in a handler, and the words were made before.
    unsafe {
        libc::write(libc::STDERR_FILENO, own.words.as_ptr().cast(), own.words.len());
        libc::sigaction(signal, &raw const own.before, std::ptr::null_mut());
    }
}
