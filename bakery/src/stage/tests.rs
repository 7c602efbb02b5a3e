//! Which trees are built, and which are refused.

use std::fs;

use super::*;

struct Files(tempfile::TempDir);

impl Files {
    fn new(paths: &[&str]) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        for path in paths {
            files.write(path, "");
        }
        files
    }

    fn write(&self, path: &str, text: &str) {
        self.write_bytes(path, text.as_bytes());
    }

    fn write_bytes(&self, path: &str, bytes: &[u8]) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn stage(&self, recipe: &Recipe) -> Result<Staged, StageError> {
        let request = Request {
            recipe,
            files: Some(self.0.path()),
            inputs: &BTreeMap::new(),
            architecture: Architecture::X86_64,
            progress: &Progress::default(),
        };
        stage(&request)
    }
}

fn recipe() -> Recipe {
    Recipe::plain("x", "1.0", Architecture::X86_64)
}

fn problems(paths: &[&str]) -> Vec<Problem> {
    match Files::new(paths).stage(&recipe()) {
        Err(StageError::Harmful { problems }) => problems,
        Err(StageError::Empty { files: Some(_) }) => vec![Problem::Empty],
        other => panic!("{other:?}"),
    }
}

#[test]
fn release_file_is_added_with_its_attribute() {
    let staged = Files::new(&["usr/bin/x"]).stage(&recipe()).unwrap();
    let node = staged.tree.get("usr/lib/extension-release.d/extension-release.x").unwrap();
    assert_eq!(node.metadata, Metadata::new(0o644).xattr(STRICT, *b"0"));
    let Kind::File(content) = &node.kind else { panic!("{node:?}") };
    let mut text = String::new();
    content.open().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "ARCHITECTURE=x86-64\nID=_any\n");
    assert_eq!(staged.release["ID"], "_any");
}

#[test]
fn release_fields_of_tree_and_recipe_are_kept() {
    let files = Files::new(&["usr/bin/x"]);
    files.write("usr/lib/extension-release.d/extension-release.x", "ID=flatcar\nSYSEXT_LEVEL=1.0\n");
    let mut recipe = recipe();
    recipe.release.insert("SYSEXT_LEVEL".to_owned(), "2.0".to_owned());
    let release = files.stage(&recipe).unwrap().release;
    let expected = [("ARCHITECTURE", "x86-64"), ("ID", "flatcar"), ("SYSEXT_LEVEL", "2.0")];
    assert_eq!(release, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());

    files.write("usr/lib/extension-release.d/extension-release.x", "ID=_any\nARCHITECTURE=arm64\n");
    let error = files.stage(&recipe).unwrap_err().to_string();
    assert!(error.contains("it contains ARCHITECTURE=arm64, but the image is for x86-64"), "{error}");
}

#[test]
fn only_usr_and_opt_are_extended() {
    assert_eq!(
        problems(&["etc/x.conf", "usr/bin/x", "opt/x", "var/lib/x"]),
        [Problem::Outside { path: "etc".into() }, Problem::Outside { path: "var".into() }]
    );
    assert_eq!(problems(&["usr"]), [Problem::Outside { path: "usr".into() }]);
    assert_eq!(problems(&[]), [Problem::Empty]);
}

#[test]
fn hiding_the_host_is_refused() {
    assert_eq!(problems(&["usr/lib/os-release"]), [Problem::OsRelease { path: "usr/lib/os-release".into() }]);
    for path in LINKS {
        assert_eq!(problems(&[&format!("{path}/x")]), [Problem::HidesLink { path: path.into() }]);
    }
    for path in ["usr/bin", "usr/lib64"] {
        assert_eq!(problems(&[path]), [Problem::HidesDirectory { path: path.into() }]);
    }
    // A directory on Debian, Fedora and Flatcar
    Files::new(&["usr/lib64/libx.so.1"]).stage(&recipe()).unwrap();
}

const LINKS: [&str; 2] = ["usr/sbin", "usr/local/sbin"];

#[test]
fn drop_in_that_systemd_ignores_is_refused() {
    let path = "usr/lib/systemd/system/multi-user.target.d/bird.service";
    let found = problems(&[path, "usr/lib/systemd/system/multi-user.target.d/10-x.conf"]);
    assert_eq!(found, [Problem::DropIn { path: path.into() }]);
    assert_eq!(found[0].hint().unwrap(), "rename it to bird.service.conf");
}

#[test]
fn release_file_of_another_extension_is_refused() {
    let path = "usr/lib/extension-release.d/extension-release.y";
    let expected = "extension-release.x".to_owned();
    assert_eq!(problems(&[path, "usr/bin/x"]), [Problem::OtherRelease { path: path.into(), expected }]);
}

#[test]
fn checks_and_units_must_be_in_the_tree() {
    let files = Files::new(&["usr/bin/x", "usr/lib/systemd/system/x@.service"]);
    let mut recipe = recipe();
    recipe.health =
        ["exec:/usr/bin/x --version", "exec:/usr/bin/true"].map(|check| check.parse().unwrap()).into();
    recipe.units.restart = vec!["x@1.service".to_owned(), "y.service".to_owned()];
    let Err(StageError::Harmful { problems }) = files.stage(&recipe) else { panic!("not refused") };
    let check = |program: &str, found| Problem::Check { program: program.to_owned(), found };
    assert_eq!(
        problems,
        [
            check("/usr/bin/x", "not executable"),
            check("/usr/bin/true", "not"),
            Problem::Unit { unit: "y.service".to_owned() }
        ]
    );
}

#[test]
fn inputs_must_match_the_recipe() {
    let this = std::env::current_exe().unwrap();
    let mut recipe = recipe();
    let go = |recipe: &Recipe, inputs: &[(&str, &Path)], architecture| {
        let inputs = inputs.iter().map(|(name, path)| ((*name).to_owned(), path.to_path_buf())).collect();
        let progress = &Progress::default();
        stage(&Request { recipe, files: None, inputs: &inputs, architecture, progress })
    };
    let here = Architecture::of_machine(std::env::consts::ARCH).unwrap();
    let spare = go(&recipe, &[("x", &this)], here);
    assert!(matches!(spare, Err(StageError::SpareInput { input }) if input == "x"));

    let path = PathBuf::from("usr/bin/x");
    recipe.binary.push(crate::recipe::Binary { path: path.clone(), input: "x".to_owned() });
    assert!(matches!(go(&recipe, &[], here), Err(StageError::NoInput { .. })));
    let staged = go(&recipe, &[("x", &this)], here).unwrap();
    assert_eq!(staged.tree.get(&path).unwrap().metadata, Metadata::new(0o755));

    let elsewhere = if here == Architecture::Arm64 { Architecture::X86_64 } else { Architecture::Arm64 };
    assert!(matches!(go(&recipe, &[("x", &this)], elsewhere), Err(StageError::Machine { .. })));
}

/// A 64-bit ELF program with an interpreter.
fn elf(machine: u8, interpreter: &str) -> Vec<u8> {
    let mut bytes = vec![0; 64 + 56];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    (bytes[18], bytes[32], bytes[54], bytes[56], bytes[64], bytes[72]) = (machine, 64, 56, 1, 3, 120);
    bytes[96] = u8::try_from(interpreter.len()).unwrap();
    bytes.extend(interpreter.as_bytes());
    bytes
}

#[test]
fn every_program_of_the_tree_must_fit_the_architecture() {
    const ARM64: u8 = 183;
    let files = Files::new(&[]);
    files.write_bytes("usr/bin/x", &elf(62, ""));
    files.write_bytes("usr/lib64/libx.so.1", &elf(ARM64, ""));
    let Err(StageError::Harmful { problems }) = files.stage(&recipe()) else { panic!("not refused") };
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["/usr/lib64/libx.so.1: is for arm64, not for x86-64"]);
}

#[test]
fn missing_interpreter_is_reported_once_for_all_programs() {
    const X86_64: u8 = 62;
    let files = Files::new(&[]);
    let interpreter = "/lib64/ld-x.so.2";
    for path in ["usr/bin/x", "usr/bin/y"] {
        files.write_bytes(path, &elf(X86_64, interpreter));
    }
    let told: Vec<String> =
        files.stage(&recipe()).unwrap().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "/usr/bin/x and 1 other program need the interpreter /lib64/ld-x.so.2, which is not in the extension: the \
          host must have it"
        ]
    );
    files.write("usr/lib64/ld-x.so.2", "");
    assert_eq!(files.stage(&recipe()).unwrap().warnings, []);
}
