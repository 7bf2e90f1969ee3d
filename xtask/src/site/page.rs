//! The page: one module is compiled, what a first visit does without is split off it, wasm-bindgen binds it, wasm-opt makes the wasm
//! smaller and esbuild the rest; and `index.html` is told the names.
//!
//! A file's name holds the digest of what is in it, since browsers keep such a file for ever.

use std::fs;
use std::path::Path;

use crate::cache::{self, Key, hash_file};
use crate::command::Program;
use crate::error::{Context, Error};
use crate::progress::{Outcome, Ticker};
use crate::site::module::{self, FOR_BROTLI, SMALL};
use crate::tools;
use crate::workspace::Workspace;

/// The cache's shelf for the page.
pub(super) const PAGE: &str = "page";
/// What comes after the first load begins like this.
pub(super) const LATER: &str = "web-ui-later-";

/// The page's folder: style sheets, which `index.html` names by their paths, and what is served as it is.
const SOURCES: &str = "web-ui";
/// In `index.html`, the place for what loads the program.
const PROGRAM: &str = "<!-- program -->";
/// The name that wasm-bindgen is given, and those that it and the splitter make.
const NAME: &str = "web-ui";
const SCRIPT: &str = "web-ui.js";
const MODULE: &str = "web-ui_bg.wasm";
const LOADER: &str = "__wasm_split.js";
/// The splitter names what it splits off like this.
const SPLIT: &str = "split_";

/// Builds index.html and what it loads.
pub(super) fn build(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    // The splitter follows the relocations to see which function needs which.
    let selection = [
        "--package",
        "web-ui",
        "--lib",
        "--crate-type",
        "cdylib",
        "--",
        "-Clink-args=--emit-relocs",
    ];
    module::compile(workspace, ticker, "rustc", &SMALL, &selection)?;
    let compiled = workspace.wasm_artifact(SMALL.profile, "web_ui");
    let mut key = Key::new("page")
        .text(&tools::versions())
        .text(&tools::esbuild_version())
        .text(&FOR_BROTLI.join(" "))
        .file(&compiled)?
        .file(&workspace.root().join("index.html"))?;
    let sources = workspace.root().join(SOURCES);
    for path in cache::files_below(&sources)? {
        if path.extension().is_none_or(|extension| extension != "rs") {
            let relative = path.strip_prefix(&sources).unwrap_or(&path);
            key = key.text(&relative.to_string_lossy()).file(&path)?;
        }
    }
    let product = cache::produce(workspace, PAGE, key, |dir| {
        copy_below(&sources.join("public"), dir)?;
        copy_below(&sources.join("styles"), &dir.join(SOURCES).join("styles"))?;
        split(&compiled, dir)?;
        bind(workspace, ticker, dir)?;
        for wasm in with_extension(dir, "wasm")? {
            module::optimise(workspace, ticker, &dir.join(wasm), FOR_BROTLI)?;
        }
        minify(workspace, ticker, dir)?;
        let program = name_program(dir)?;
        let html = workspace.root().join("index.html");
        let html = fs::read_to_string(&html).context("read", &html)?;
        let html = name_styles(dir, &html)?.replace(PROGRAM, &program);
        let path = dir.join("index.html");
        fs::write(&path, html).context("write", &path)
    })?;
    module::publish(workspace, PAGE, &product)?;
    Ok(module::outcome(&product))
}

/// Takes what is behind `#[wasm_split]` out of the compiled module.
fn split(compiled: &Path, dir: &Path) -> Result<(), Error> {
    let wasm = fs::read(compiled).context("read", compiled)?;
    let main = dir.join("web-ui.wasm");
    let script = format!("./{SCRIPT}");
    let mut options = wasm_split_cli_support::Options::new(&wasm);
    options.output_dir = dir;
    options.main_out_path = &main;
    options.main_module = &script;
    wasm_split_cli_support::transform(options)
        .map(|_| ())
        .map_err(|error| unexpected(compiled, format!("it cannot be split: {error:#}")))
}

fn bind(workspace: &Workspace, ticker: &mut Ticker, dir: &Path) -> Result<(), Error> {
    let main = dir.join("web-ui.wasm");
    Program::new(workspace, tools::wasm_bindgen(workspace), "wasm-bindgen web-ui")
        .args(["--target", "web", "--no-typescript", "--keep-lld-exports"])
        .args(["--out-name", NAME, "--out-dir"])
        .arg(dir)
        .arg(&main)
        .run(ticker)?;
    fs::remove_file(&main).context("remove", &main)
}

/// Takes out what only people read. Names that one file has of another stay.
fn minify(workspace: &Workspace, ticker: &mut Ticker, dir: &Path) -> Result<(), Error> {
    let mut files = cache::files_below(dir)?;
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "js" || extension == "css")
    });
    Program::new(workspace, tools::esbuild(workspace), "esbuild")
        .args([
            "--minify",
            "--charset=utf8",
            "--log-level=warning",
            "--allow-overwrite",
        ])
        .arg(format!("--outdir={}", dir.display()))
        .arg(format!("--outbase={}", dir.display()))
        .args(files)
        .run(ticker)
        .map(|_| ())
}

/// Names the program's parts by what is in all of them, as each names others, and returns what loads it. Only boot.js runs it, so that
/// the page needs no inline script.
fn name_program(dir: &Path) -> Result<String, Error> {
    let modules = with_extension(dir, "wasm")?;
    let mut key = Key::new("program");
    for name in modules.iter().map(String::as_str).chain([SCRIPT, LOADER]) {
        key = key.file(&dir.join(name))?;
    }
    let digest = &key.finish()[..16];
    let mut names = vec![
        (SCRIPT.to_owned(), format!("{NAME}-{digest}.js")),
        (LOADER.to_owned(), format!("{NAME}-loader-{digest}.js")),
    ];
    let mut later = 0;
    for name in modules {
        let new = if name == MODULE {
            format!("{NAME}-{digest}_bg.wasm")
        } else if name.starts_with(SPLIT) {
            later += 1;
            format!("{LATER}{later}-{digest}.wasm")
        } else {
            continue;
        };
        names.push((name, new));
    }
    for script in [SCRIPT, LOADER] {
        let path = dir.join(script);
        let mut text = fs::read_to_string(&path).context("read", &path)?;
        for (old, new) in &names {
            // The module itself names its loader, too, and wasm-bindgen looks it up under that name: it stays where nothing is fetched.
            for before in ["from\"./", "URL(\"./", "URL(\""] {
                text = text.replace(&format!("{before}{old}\""), &format!("{before}{new}\""));
            }
        }
        fs::write(&path, text).context("write", &path)?;
    }
    for (old, new) in &names {
        fs::rename(dir.join(old), dir.join(new)).context("rename", &dir.join(old))?;
    }
    let (script, module) = (&names[0].1, format!("{NAME}-{digest}_bg.wasm"));
    Ok(format!(
        "<link rel=\"modulepreload\" href=\"/{script}\">\
         <link rel=\"preload\" href=\"/{module}\" as=\"fetch\" type=\"application/wasm\" crossorigin>\
         <script type=\"module\" src=\"/boot.js\" data-js=\"/{script}\" data-wasm=\"/{module}\"></script>"
    ))
}

/// Puts the style sheets beside the page, and their names into it.
fn name_styles(dir: &Path, html: &str) -> Result<String, Error> {
    let styles = dir.join(SOURCES).join("styles");
    let mut html = html.to_owned();
    for name in with_extension(&styles, "css")? {
        let path = styles.join(&name);
        let digest = &hash_file(&path)?[..16];
        let named = name.replace(".css", &format!("-{digest}.css"));
        fs::rename(&path, dir.join(&named)).context("rename", &path)?;
        html = html.replace(&format!("\"{SOURCES}/styles/{name}\""), &format!("\"/{named}\""));
    }
    let left = dir.join(SOURCES);
    fs::remove_dir_all(&left).context("remove", &left)?;
    Ok(html)
}

/// The names of the files in a folder that have this extension, in order.
fn with_extension(dir: &Path, extension: &str) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = cache::list(dir)?
        .iter()
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn copy_below(from: &Path, to: &Path) -> Result<(), Error> {
    for path in cache::files_below(from)? {
        let copied = to.join(path.strip_prefix(from).unwrap_or(&path));
        if let Some(parent) = copied.parent() {
            fs::create_dir_all(parent).context("create", parent)?;
        }
        fs::copy(&path, &copied).context("copy", &path)?;
    }
    Ok(())
}

fn unexpected(path: &Path, problem: String) -> Error {
    Error::Unexpected {
        path: path.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::hash_bytes;

    #[test]
    fn the_programs_parts_find_each_other_by_their_final_names() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write(MODULE, "module");
        write("split_pages_17.wasm", "pages");
        write(
            SCRIPT,
            r#"import*as a from"./__wasm_split.js";let i={"./__wasm_split.js":a};new URL("web-ui_bg.wasm",import.meta.url)"#,
        );
        write(
            LOADER,
            r#"import{initSync as s}from"./web-ui.js";fetch(new URL("./split_pages_17.wasm",import.meta.url))"#,
        );

        let tags = name_program(dir.path()).unwrap();

        let mut names: Vec<String> = cache::files_below(dir.path())
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let digest = names[0].strip_prefix("web-ui-").unwrap().get(..16).unwrap();
        let [script, module, later, loader] = [
            format!("web-ui-{digest}.js"),
            format!("web-ui-{digest}_bg.wasm"),
            format!("web-ui-later-1-{digest}.wasm"),
            format!("web-ui-loader-{digest}.js"),
        ];
        assert_eq!(names, [&script, &module, &later, &loader].map(String::as_str));
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(
            read(&script),
            format!(
                r#"import*as a from"./{loader}";let i={{"./__wasm_split.js":a}};new URL("{module}",import.meta.url)"#
            )
        );
        assert_eq!(
            read(&loader),
            format!(r#"import{{initSync as s}}from"./{script}";fetch(new URL("./{later}",import.meta.url))"#)
        );
        assert!(tags.contains(&format!("data-js=\"/{script}\" data-wasm=\"/{module}\"")));
    }

    #[test]
    fn the_page_names_its_style_sheets() {
        let dir = tempfile::tempdir().unwrap();
        let styles = dir.path().join(SOURCES).join("styles");
        fs::create_dir_all(&styles).unwrap();
        fs::write(styles.join("base.css"), "a{}").unwrap();
        let html = name_styles(
            dir.path(),
            r#"<link rel="stylesheet" href="web-ui/styles/base.css">"#,
        )
        .unwrap();
        let digest = &hash_bytes(b"a{}")[..16];
        assert_eq!(
            html,
            format!(r#"<link rel="stylesheet" href="/base-{digest}.css">"#)
        );
        assert!(dir.path().join(format!("base-{digest}.css")).exists());
    }
}
