//! What the machine must have before anything is built: looked for all at once, named all at once.
//!
//! As root on Debian or Ubuntu whatever is missing is installed from the distribution's packages; anyone else is told
//! the line to type. Nothing is ever downloaded from anywhere else at this point.

use std::path::PathBuf;

use crate::command::{Program, answers};
use crate::error::Error;
use crate::progress::{Outcome, Progress, Ticker};
use crate::workspace::Workspace;

/// Something that must be installed.
pub(crate) struct Need {
    /// As a person calls it.
    name: &'static str,
    /// The Debian packages that bring it.
    packages: &'static [&'static str],
    /// Any one of these command lines answering means that it is there.
    probes: &'static [&'static [&'static str]],
}

/// What building and serving needs.
pub(crate) const BUILD: &[Need] = &[
    Need {
        name: "a C compiler",
        packages: &["build-essential"],
        probes: &[&["cc", "--version"]],
    },
    Need {
        name: "Node.js",
        packages: &["nodejs"],
        probes: &[&["node", "--version"]],
    },
    Need {
        name: "npm",
        packages: &["npm"],
        probes: &[&["npm", "--version"]],
    },
    Need {
        name: "Python with pip",
        packages: &["python3", "python3-pip"],
        probes: &[&["python3", "-m", "pip", "--version"]],
    },
];

/// What the browser tests need on top of that.
pub(crate) const BROWSERS: &[Need] = &[
    Need {
        name: "Chromium",
        packages: &["chromium"],
        probes: &[&["chromium", "--version"], &["google-chrome", "--version"]],
    },
    Need {
        name: "ChromeDriver",
        packages: &["chromium-driver"],
        probes: &[&["chromedriver", "--version"]],
    },
    Need {
        name: "Firefox",
        packages: &["firefox-esr"],
        probes: &[&["firefox-esr", "--version"], &["firefox", "--version"]],
    },
    Need {
        name: "certutil, which installs a certificate authority in a test's browser",
        packages: &["libnss3-tools"],
        probes: &[&["sh", "-c", "command -v certutil"]],
    },
];

/// The text that models are compared on.
pub(crate) const MANUALS: &[Need] = &[
    Need {
        name: "PostgreSQL's manual",
        packages: &["postgresql-doc"],
        probes: &[&["sh", "-c", "ls -d /usr/share/doc/postgresql-doc-*/html"]],
    },
    Need {
        name: "Python's manual",
        packages: &["python3-doc"],
        probes: &[&["sh", "-c", "ls -d /usr/share/doc/python3.*/html"]],
    },
];

/// Describes it to a Vulkan loader.
pub(crate) const VULKAN_DRIVER: &str = "vk_swiftshader_icd.json";
/// Where packages of Chromium put the Vulkan loader and the software renderer that they bring.
const SOFTWARE_VULKAN: [&str; 2] = ["/usr/lib/chromium", "/opt/google/chrome"];

/// The folder of the software renderer that comes with the browser.
pub(crate) fn software_vulkan(workspace: &Workspace) -> Result<PathBuf, Error> {
    ensure(workspace, BROWSERS)?;
    let folders = SOFTWARE_VULKAN.into_iter().map(PathBuf::from);
    let mut found = folders.filter(|folder| folder.join(VULKAN_DRIVER).exists());
    found.next().ok_or_else(|| Error::Missing {
        missing: "the software renderer of Chromium".to_owned(),
        line: "sudo apt-get install --reinstall chromium".to_owned(),
    })
}

/// Checks every need, installs what is missing where that is allowed, and fails with one message otherwise.
pub(crate) fn ensure(workspace: &Workspace, needs: &[Need]) -> Result<(), Error> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = packages_of(&missing);
    if !can_install() {
        return Err(unmet(&missing, &packages));
    }
    eprintln!(
        "Installing from the distribution's packages, since this runs as root: {}",
        packages.join(" ")
    );
    let mut progress = Progress::new(2);
    progress.step("apt-get update", |ticker| update(workspace, ticker))?;
    progress.step("apt-get install", |ticker| install(workspace, &packages, ticker))?;
    let still_missing: Vec<&Need> = missing.into_iter().filter(|need| !need.is_met()).collect();
    if still_missing.is_empty() {
        Ok(())
    } else {
        Err(unmet(&still_missing, &packages))
    }
}

/// Makes sure that the compiler can build for the browser. `rust-toolchain.toml` asks for that, but rustup only listens where
/// it may install by itself.
pub(crate) fn ensure_target(workspace: &Workspace) -> Result<(), Error> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let library = std::process::Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(workspace.root())
        .output();
    let library = library.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if library.is_ok_and(|library| !library.is_empty() && std::path::Path::new(&library).exists()) {
        return Ok(());
    }
    let line = ["target", "add", TARGET];
    if !answers("rustup", &["--version"]) {
        return Err(Error::Missing {
            missing: format!("the compiler's library for {TARGET}"),
            line: format!("rustup {}", line.join(" ")),
        });
    }
    eprintln!("Installing what the compiler needs for {TARGET}");
    Progress::new(1).step("rustup target add", |ticker| {
        Program::new(workspace, "rustup", "rustup target add")
            .args(line)
            .run(ticker)?;
        Ok(Outcome::Done(String::new()))
    })
}

/// Installs what is missing for everything, in silence and only where that is allowed, beside work that needs none of it. What
/// goes wrong here goes wrong again, and is told, where [`ensure`] looks for it.
pub(crate) fn install_beside(workspace: &Workspace) {
    let missing: Vec<&Need> = BUILD
        .iter()
        .chain(BROWSERS)
        .filter(|need| !need.is_met())
        .collect();
    if missing.is_empty() || !can_install() {
        return;
    }
    let packages = packages_of(&missing);
    eprintln!(
        "Installing meanwhile from the distribution's packages, since this runs as root: {}",
        packages.join(" ")
    );
    let mut ticker = Ticker::silent();
    let _ = update(workspace, &mut ticker).and_then(|_| install(workspace, &packages, &mut ticker));
}

fn update(workspace: &Workspace, ticker: &mut Ticker) -> Result<Outcome, Error> {
    Program::new(workspace, "apt-get", "apt-get update")
        .arg("update")
        .run(ticker)?;
    Ok(Outcome::Done(String::new()))
}

fn install(workspace: &Workspace, packages: &[&str], ticker: &mut Ticker) -> Result<Outcome, Error> {
    Program::new(workspace, "apt-get", "apt-get install")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run(ticker)?;
    Ok(Outcome::Done(String::new()))
}

impl Need {
    fn is_met(&self) -> bool {
        self.probes.iter().any(|probe| {
            probe
                .split_first()
                .is_some_and(|(program, args)| answers(program, args))
        })
    }
}

fn unmet(missing: &[&Need], packages: &[&str]) -> Error {
    let names: Vec<&str> = missing.iter().map(|need| need.name).collect();
    Error::Missing {
        missing: names.join(", "),
        line: format!("sudo apt-get install {}", packages.join(" ")),
    }
}

fn packages_of(needs: &[&Need]) -> Vec<&'static str> {
    needs.iter().flat_map(|need| need.packages).copied().collect()
}

fn can_install() -> bool {
    is_root() && answers("apt-get", &["--version"])
}

fn is_root() -> bool {
    std::process::Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
