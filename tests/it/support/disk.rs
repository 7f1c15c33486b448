//! A small file system that can be filled and made read-only, in a mount namespace that goes with its test.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::scratch::Scratch;

pub(crate) struct Disk {
    /// Holds the namespace, and lives as long as its standard input stays open.
    keeper: Child,
    /// How to get into the namespace.
    enter: Vec<String>,
    folder: Scratch,
}

impl Disk {
    /// One of so many KiB; where nothing can be mounted it says so, and there is none.
    pub(crate) fn mount(kib: u32) -> Option<Self> {
        let alone = Self::try_mount(kib, &["--mount"]);
        // Who is not root may still be it in a user namespace.
        match alone.or_else(|_| Self::try_mount(kib, &["--mount", "--user", "--map-root-user"])) {
            Ok(disk) => Some(disk),
            Err(why) => {
                // In one line: scripts look for it.
                let why = why.replace('\n', " ");
                eprintln!("left out: a test on a disk that runs full, because none can be mounted: {}", why.trim());
                None
            }
        }
    }

    fn try_mount(kib: u32, namespaces: &[&str]) -> Result<Self, String> {
        let folder = Scratch::new();
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs -o size=\"$0\"k none \"$1\" && echo mounted && exec cat";
        command.args(namespaces).args(["sh", "-c", script, &kib.to_string()]).arg(&folder.0);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut keeper = piped.spawn().map_err(|error| format!("unshare: {error}"))?;
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
        if said != "mounted\n" {
            let mut why = String::new();
            keeper.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            keeper.wait().unwrap();
            return Err(why);
        }
        let mut enter = vec!["--mount".to_owned(), "--target".to_owned(), keeper.id().to_string()];
        if namespaces.contains(&"--user") {
            enter.extend(["--user".to_owned(), "--preserve-credentials".to_owned()]);
        }
        Ok(Self { keeper, enter, folder })
    }

    /// Where a checkpoint may stand, as those see it who are inside.
    pub(crate) fn state(&self) -> String {
        self.folder.state()
    }

    /// The same command, run inside; its process is the one that is started.
    pub(crate) fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(&self.enter).arg("--").arg(command.get_program()).args(command.get_args());
        inside.env_clear().envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        inside
    }

    /// Takes up all the space that is left.
    #[track_caller]
    pub(crate) fn fill(&self) {
        self.run("! cat /dev/zero >> \"$0\"/filler").unwrap();
    }

    /// Gives the space back.
    #[track_caller]
    pub(crate) fn empty(&self) {
        self.run("rm \"$0\"/filler").unwrap();
    }

    /// Fails as long as somebody has a file open for writing. The mount becomes so, not the file system: for the latter, the
    /// root of a user namespace lacks the right.
    pub(crate) fn make_read_only(&self) -> Result<(), String> {
        self.run("mount -o remount,bind,ro \"$0\"")
    }

    #[track_caller]
    pub(crate) fn make_writable(&self) {
        self.run("mount -o remount,bind,rw \"$0\"").unwrap();
    }

    /// The names of all files.
    #[track_caller]
    pub(crate) fn files(&self) -> Vec<String> {
        let output = self.shell("ls -A \"$0\"").output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn run(&self, script: &str) -> Result<(), String> {
        let output = self.shell(script).output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    fn shell(&self, script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg::<&Path>(&self.folder.0);
        self.inside(&shell)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may be gone already. With the last process in it the namespace goes, and the mount with that.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
