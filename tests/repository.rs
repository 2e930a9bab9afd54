//! Holds what stands around the sources: the Dockerfile, the Makefile, the README and what they promise each other.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

#[test]
fn the_image_is_built_in_one_stage_and_run_in_another() {
    let stages = instructions("FROM");
    assert_eq!(stages.len(), 2, "one stage builds, one runs");
    let (builder, alias) = stages[0].split_once(" AS ").expect("the first stage has a name");
    let version = builder.strip_prefix("rust:").expect("the builder is a Rust image");
    let minor = |text: &str| {
        let mut parts = text.split(|c: char| !c.is_ascii_digit());
        (
            parts.next().unwrap().parse::<u32>().unwrap(),
            parts.next().unwrap().parse::<u32>().unwrap(),
        )
    };
    let manifest = text("Cargo.toml");
    let wanted = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap();
    assert!(minor(version) >= minor(wanted), "rust:{version} is older than rust-version {wanted}");
    assert!(!stages[1].contains("rust"), "the image that runs holds no toolchain");
    let copied = instructions("COPY").into_iter().find(|copy| copy.contains("--from"));
    assert!(copied.is_some_and(|copy| copy.contains(&format!("--from={alias} "))));
}

#[test]
fn the_builder_has_cmake_and_the_image_has_certificate_authorities() {
    let commands = instructions("RUN");
    assert!(commands[0].contains(" cmake "), "zlib-ng is built with cmake");
    assert!(commands.last().unwrap().contains(" ca-certificates "));
    for command in commands.iter().filter(|command| command.contains("apt-get")) {
        assert!(command.contains("rm -rf /var/lib/apt/lists"), "package lists stay in a layer");
    }
}

#[test]
fn the_image_runs_as_nobody_special() {
    let users = instructions("USER");
    let user = users.last().expect("the image names a user");
    let id = user.split(':').next().unwrap();
    assert!(id.parse::<u32>().expect("a numeric id, so that it can be checked") > 0);
}

#[test]
fn the_image_asks_the_gateway_for_its_health_and_carries_no_configuration() {
    let health = instructions("HEALTHCHECK");
    assert!(health[0].ends_with(r#"CMD ["portcullis", "status"]"#));
    assert_eq!(instructions("ENTRYPOINT"), [r#"["portcullis"]"#]);
    assert_eq!(instructions("CMD"), [r#"["run", "-c", "/etc/portcullis/gateway.yaml"]"#]);
    assert!(!instructions("COPY").iter().any(|copy| copy.contains("yaml")));
}

#[test]
fn all_that_the_image_is_built_from_exists_and_is_let_through() {
    let ignore = text(".dockerignore");
    for source in image_sources() {
        assert!(
            root().join(&source).exists(),
            "the Dockerfile copies {source}, which is not there"
        );
        assert!(
            ignore.lines().any(|line| line == format!("!{source}")),
            ".dockerignore keeps {source} out"
        );
    }
}

#[test]
fn all_that_the_build_reads_is_in_the_image() {
    let copied = image_sources();
    let manifest = text("Cargo.toml");
    for (table, folder) in [("[[bench]]", "benches"), ("[[test]]", "tests")] {
        assert!(
            !manifest.contains(table) || copied.contains(folder),
            "cargo wants the files of {table} to exist, and the Dockerfile does not copy {folder}"
        );
    }
    // What is compiled for tests alone is not built in the image.
    let tests = |path: &Path| path.iter().any(|part| part == "tests" || part == "tests.rs");
    for path in files().into_iter().filter(|path| path.starts_with("src") && !tests(path)) {
        let text = fs::read_to_string(root().join(&path)).unwrap_or_default();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for (at, _) in
            text.match_indices("include_str!(\"").chain(text.match_indices("include_bytes!(\""))
        {
            let name = text[at..].split('"').nth(1).unwrap();
            let read = resolved(&path.parent().unwrap().join(name));
            let top = read.iter().next().unwrap().to_str().unwrap();
            assert!(copied.contains(top), "{} includes {}", path.display(), read.display());
        }
    }
}

#[test]
fn the_two_commands_and_their_friends_exist() {
    let makefile = text("Makefile");
    for target in ["run", "test", "bench", "fmt", "lint"] {
        assert!(
            makefile
                .lines()
                .any(|line| line.strip_prefix(target).is_some_and(|l| l.starts_with(':'))),
            "the Makefile has no target {target}"
        );
    }
    let readme = text("README.md");
    for command in ["make run", "make test"] {
        assert!(readme.contains(command), "README.md does not name {command}");
    }
}

#[test]
fn scripts_can_be_run() {
    for script in [".ci/run", "scripts/setup"] {
        let mode = fs::metadata(root().join(script)).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script} is not executable");
    }
}

#[test]
fn the_files_that_a_stranger_looks_for_are_there() {
    assert!(text("LICENSE").contains("Apache License"));
    assert!(text("LICENSE").contains("Copyright the portcullis authors"));
    assert!(text("CHANGELOG.md").contains("## [Unreleased]"));
    assert!(!text("SECURITY.md").contains('@'), "a contact must be one that exists");
    assert!(
        !root().join("rust-toolchain").exists() && !root().join("rust-toolchain.toml").exists()
    );
}

#[test]
fn no_release_with_a_known_hole_is_built_in() {
    let lock = text("Cargo.lock");
    let value = |part: &str, key: &str| {
        let line = part.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
        line.map(|rest| rest.trim_end_matches('"').to_owned())
    };
    let numbers = |version: &str| {
        let numbers = version.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
        numbers.collect::<Vec<_>>()
    };
    let packages: Vec<(String, String)> = lock
        .split("[[package]]\n")
        .filter_map(|part| Some((value(part, "name")?, value(part, "version")?)))
        .collect();
    // The first release without what `docs/threats.md` tells of.
    for (name, mended) in [
        ("bcrypt", "0.19.2"),
        ("h2", "0.4.16"),
        ("jsonwebtoken", "10.3.0"),
        ("pingora", "0.8.0"),
        ("rustls-webpki", "0.103.13"),
    ] {
        let found: Vec<_> = packages.iter().filter(|(known, _)| known == name).collect();
        assert!(!found.is_empty(), "{name} is not built in");
        for (_, version) in found {
            assert!(numbers(version) >= numbers(mended), "{name} {version} is older than {mended}");
        }
    }
    assert!(packages.iter().all(|(name, _)| name != "rsa"), "the rsa crate is built in");
}

#[test]
fn no_file_names_a_path_of_the_machine_it_was_written_on() {
    let mut private = vec![root().to_str().unwrap().to_owned()];
    private.extend(std::env::var("HOME").ok().filter(|home| home.len() > 1).map(|home| home + "/"));
    for path in files() {
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            continue;
        };
        for part in &private {
            assert!(!text.contains(part.as_str()), "{} names {part}", path.display());
        }
    }
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    for path in files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") || target.contains(char::is_whitespace) {
                continue;
            }
            let target = resolved(&path.parent().unwrap().join(target));
            assert!(
                root().join(&target).exists(),
                "{} links to {}, which is not there",
                path.display(),
                target.display()
            );
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The arguments of every Dockerfile instruction of that name, continued lines joined.
fn instructions(name: &str) -> Vec<String> {
    text("Dockerfile")
        .replace("\\\n", " ")
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .map(|arguments| arguments.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// What the Dockerfile copies out of this tree.
fn image_sources() -> BTreeSet<String> {
    let mut sources = BTreeSet::new();
    for copy in instructions("COPY").iter().filter(|copy| !copy.starts_with("--from=")) {
        let mut names: Vec<&str> = copy.split(' ').collect();
        names.pop();
        sources.extend(names.into_iter().map(str::to_owned));
    }
    sources
}

/// `a/b/../c` is `a/c`.
fn resolved(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                result.pop();
            }
            Component::CurDir => {}
            _ => result.push(part),
        }
    }
    result
}

/// Every file of the project, relative to its root; nothing that a build or a setup leaves behind.
fn files() -> Vec<PathBuf> {
    let mut pending = vec![PathBuf::new()];
    let mut files = Vec::new();
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            let name = entry.file_name();
            let left_behind =
                [".git", ".tools", "target", "__pycache__"].iter().any(|n| name == *n);
            if left_behind {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                pending.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}
