//! How the page looks in a browser: wide and narrow, and that there is something to see.
//!
//! Needs Chromium, which `make test` does not install: 300 MB of browser for one test, on machines whose every run starts
//! bare. Where there is none the test says that it was skipped, and what is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::check::judge;
use crate::model::generate::{Plan, generate};
use crate::model::mutate::MUTATIONS;

/// What a page has to fit, CSS pixels.
const WIDTHS: [u32; 2] = [390, 1_280];

/// Lays pages out in frames of each width, and writes what came of them where `--dump-dom` shows it. The page itself runs
/// no scripts: its policy forbids them.
const MEASURE: &str = r#"<script>
addEventListener('load', () => {
  const out = [...document.querySelectorAll('iframe')].map(frame => {
    const doc = frame.contentDocument, root = doc.documentElement, wide = root.clientWidth;
    const scrolls = it => it.closest('.wide, pre');
    const out = [...doc.body.querySelectorAll('*')].filter(it => !scrolls(it) && it.getBoundingClientRect().right > wide + 1);
    const lanes = [...doc.querySelectorAll('svg')].map(it => it.getBoundingClientRect());
    const pill = doc.querySelector('.pill').getBoundingClientRect();
    return [wide, root.scrollWidth, root.scrollHeight, out.length, lanes.length,
      Math.floor(Math.min(...lanes.map(it => it.width))), Math.floor(Math.min(...lanes.map(it => it.height))),
      Math.floor(pill.bottom), doc.body.innerText.length].join(' ');
  });
  document.getElementById('out').textContent = out.join('\n');
});
</script>"#;

/// The browser: `FAIRLEAD_CHROMIUM`, or one of those names on the path.
fn chromium() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("FAIRLEAD_CHROMIUM") {
        return Some(PathBuf::from(path));
    }
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name))).find(|it| it.is_file())
}

/// Runs the browser on a file; its standard output.
fn browse(browser: &Path, folder: &Path, file: &Path, args: &[&str]) -> String {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .args(args)
        .arg(file)
        .env("HOME", folder)
        .output()
        .expect("the browser runs");
    assert!(output.status.success(), "{}: {}", browser.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Pages in frames.
fn framed(pages: &[(u32, &str)], after: &str) -> String {
    let frame = |(wide, page): &(u32, &str)| {
        let page = markup::Escaped(page);
        format!("<iframe style=\"border:0;display:block;width:{wide}px;height:2400px\" srcdoc=\"{page}\"></iframe>\n")
    };
    let frames: String = pages.iter().map(frame).collect();
    format!("<!DOCTYPE html><body style=\"margin:0\">{frames}<pre id=\"out\"></pre>{after}</body>")
}

#[test]
fn a_page_fits_narrow_and_wide_screens_and_shows_something() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no Chromium here (Debian's package `chromium`, or FAIRLEAD_CHROMIUM=program)");
        return;
    };
    let good = generate(&Plan { ops: 600, ..Plan::mixed(1) });
    let mutation = MUTATIONS.iter().find(|it| it.name == "two responses of a watch change places").unwrap();
    let bad = mutation.apply(&good, 1).unwrap();
    let pages: Vec<String> =
        [good, bad].iter().map(|it| Report::of(it, &judge(it), "one.jsonl").unwrap().html).collect();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };

    let all: Vec<(u32, &str)> =
        WIDTHS.iter().flat_map(|wide| pages.iter().map(move |page| (*wide, page.as_str()))).collect();
    let file = write("measure.html", &framed(&all, MEASURE));
    let dom = browse(&browser, folder.path(), &file, &["--virtual-time-budget=5000", "--dump-dom"]);
    let (_, told) = dom.rsplit_once("<pre id=\"out\">").expect("the frame that measures is there");
    let (told, _) = told.split_once("</pre>").unwrap();
    assert_eq!(told.lines().count(), all.len(), "{told}");
    for (line, (width, _)) in told.lines().zip(&all) {
        let figures: Vec<u32> = line.split(' ').map(|it| it.parse().unwrap()).collect();
        let [wide, scroll_width, scroll_height, overflowing, pictures, least_width, least_height, pill, text] =
            figures[..]
        else {
            panic!("{line}")
        };
        assert_eq!((wide, scroll_width, overflowing), (*width, *width, 0), "it is wider than its screen: {line}");
        assert!(pictures > 20 && least_width > width / 2 && least_height >= 12, "a picture is flat: {line}");
        assert!(
            pill < 120 && text > 2_000 && scroll_height > 2_000,
            "the verdict or the text is not to be seen: {line}"
        );
    }

    // A picture of a blank page is what a picture of ours is held against: how much there is to see, in bytes of PNG.
    let shot = |name: &str, page: &str| {
        let (file, picture) = (write(name, page), folder.path().join(format!("{name}.png")));
        let to = format!("--screenshot={}", picture.display());
        browse(&browser, folder.path(), &file, &[&to, "--window-size=390,1600"]);
        fs::metadata(picture).unwrap().len()
    };
    let (ours, blank) = (shot("ours.html", &pages[1]), shot("blank.html", "<!DOCTYPE html><title>b</title>"));
    assert!(ours > 8 * blank, "{ours} bytes of picture, {blank} of a blank page");
}
