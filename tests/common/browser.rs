//! Pages as headless Chromium lays them out.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Chromium, or `None` (said once) where there is none. In CI there must be one.
fn chromium() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders)
        .flat_map(|f| ["chromium", "chromium-browser", "google-chrome"].map(|n| f.join(n)))
        .find(|p| p.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI has no Chromium");
        eprintln!("skipped: no Chromium here");
    }
    found
}

/// What a page looks like at a width.
#[derive(Debug)]
pub struct Look {
    /// What it wrote to the console.
    pub console: Vec<String>,
    /// Elements that stick out of the page or of their own box.
    pub overflow: Vec<String>,
    /// Plots, with how many lines and points each has.
    pub plots: Vec<u64>,
    /// Sections by their names.
    pub sections: Vec<String>,
    /// Words of labels that are broken over two lines, at widths from a phone's to a large screen's.
    pub broken: Vec<String>,
}

const MEASURE: &str = r#"
const frame = document.querySelector('iframe');
frame.onload = () => {
  const page = frame.contentDocument, width = frame.clientWidth, overflow = [];
  if (page.documentElement.scrollWidth > width) overflow.push('the page: ' + page.documentElement.scrollWidth);
  for (const e of page.querySelectorAll('body, body *')) {
    const box = e.getBoundingClientRect();
    const name = e.tagName + ' ' + (e.textContent || '').trim().slice(0, 40);
    const within = e.closest('svg');
    if (within && e !== within) {
      const image = within.getBoundingClientRect();
      const out = box.left < image.left - 1 || box.right > image.right + 1 || box.top < image.top - 1 || box.bottom > image.bottom + 1;
      if (e.tagName === 'text' && out) overflow.push(name);
    } else if (!e.closest('.scroll > *') && box.width > 0) {
      if (box.right > width + 1 || box.left < -1) overflow.push(name);
      if (e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1 && !e.matches('.scroll')) overflow.push('within ' + name);
    }
  }
  const plots = [...page.querySelectorAll('svg:not(.picture)')].map(s => s.querySelectorAll('polyline, circle').length);
  const sections = [...page.querySelectorAll('section[id]')].map(s => s.id);
  const broken = [];
  for (const at of [390, 480, 600, 768, 900, 1024, 1200, 1280, 1440, 1680, 1920]) {
    frame.style.width = at + 'px';
    for (const label of page.querySelectorAll('th, .label, .card small, .card b, h2, summary')) {
      const texts = page.createTreeWalker(label, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        for (const word of texts.currentNode.data.matchAll(/[^\s\/\u2192-]+/g)) {
          const range = page.createRange();
          range.setStart(texts.currentNode, word.index);
          range.setEnd(texts.currentNode, word.index + word[0].length);
          const lines = new Set([...range.getClientRects()].filter(r => r.width > 0).map(r => Math.round(r.top)));
          if (lines.size > 1) broken.push(word[0] + ' at ' + at);
        }
      }
    }
  }
  document.querySelector('pre').textContent = JSON.stringify({overflow, plots, sections, broken});
};
"#;

/// Lays a page out; `None` where there is no Chromium.
pub fn look(html: &str, width: usize, folder: &Path) -> Option<Look> {
    let chromium = chromium()?;
    let quoted = html.replace('&', "&amp;").replace('"', "&quot;");
    let around = format!(
        "<!doctype html><meta charset=utf-8><pre></pre><script>addEventListener('DOMContentLoaded', () => {{ {MEASURE} }});</script>\
         <iframe style=\"border:0;width:{width}px;height:4000px\" srcdoc=\"{quoted}\"></iframe>"
    );
    let file = folder.join(format!("around-{width}.html"));
    std::fs::write(&file, around).unwrap();
    let output = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--virtual-time-budget=8000",
            "--window-size=1400,900",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.join(format!("chromium-{width}")).display()
        ))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let (dom, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let found = dom
        .split("<pre>")
        .nth(1)
        .and_then(|t| t.split("</pre>").next())
        .unwrap_or_default();
    let found = found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let found: Value = serde_json::from_str(&found).unwrap_or_else(|e| panic!("{e}: {found} {said}"));
    let texts = |name: &str| -> Vec<String> {
        let all = found[name].as_array().unwrap().iter();
        all.map(|t| t.as_str().unwrap().to_owned()).collect()
    };
    Some(Look {
        console: said
            .lines()
            .filter(|l| l.contains(":CONSOLE"))
            .map(str::to_owned)
            .collect(),
        overflow: texts("overflow"),
        plots: found["plots"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap())
            .collect(),
        sections: texts("sections"),
        broken: texts("broken"),
    })
}
