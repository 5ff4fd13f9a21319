//! How much memory there is for this process (the machine's, its control groups' limits of versions 1 and 2, and its limit of
//! address space, whichever is least), and how much it has.

use std::{fs, path::Path};

use rustix::process::{Resource, getrlimit};

/// Bytes that this process may take at most; `None` where nothing says so.
pub fn of_this_machine() -> Option<usize> {
    let address_space = getrlimit(Resource::As).current.and_then(|bytes| usize::try_from(bytes).ok());
    below(Path::new("/")).into_iter().chain(address_space).min()
}

/// Bytes of this process that are in memory now: `VmRSS` of proc_pid_status(5); `None` where nothing says so.
pub fn resident_bytes() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    kib_of(&status, "VmRSS:")
}

/// The same from the files of a machine whose root is here.
fn below(root: &Path) -> Option<usize> {
    let read = |path: &str| fs::read_to_string(root.join(path.trim_start_matches('/'))).ok();
    let machine = read("proc/meminfo").and_then(|text| kib_of(&text, "MemTotal:"));
    let groups = read("proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().flat_map(limit_files).filter_map(|path| number_of(&read(&path)?));
    // All of them hold at once, those of groups further up too.
    machine.into_iter().chain(limits).min()
}

/// Bytes that a file of `/proc` gives under this name in KiB.
fn kib_of(text: &str, name: &str) -> Option<usize> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: usize = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// A limit, which may be `max`; version 1 says a number near 2^63 for none.
fn number_of(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|&bytes| bytes > 0)
}

/// Where the limits stand that a line of `/proc/self/cgroup` is about: of the group and of those that it is in. In a container
/// the path may be the host's, whose files are not there; then the group's own are at the top.
fn limit_files(line: &str) -> Vec<String> {
    let mut fields = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
        return Vec::new();
    };
    let (top, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        all if all.split(',').any(|name| name == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let groups = Path::new(path.trim_start_matches('/')).ancestors();
    groups.map(|group| Path::new(top).join(group).join(file).to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with these files.
    fn machine(name: &str, files: &[(&str, &str)]) -> Option<usize> {
        let root = std::env::temp_dir().join(format!("fanwire-machine-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let found = below(&root);
        fs::remove_dir_all(root).unwrap();
        found
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       8000000 kB\nMemFree: 1 kB\n");

    #[test]
    fn the_least_of_machine_and_groups_counts() {
        assert_eq!(machine("bare", &[MEMINFO]), Some(8_192_000_000));
        let two = ("proc/self/cgroup", "0::/a/b\n");
        assert_eq!(
            machine("v2", &[MEMINFO, two, ("sys/fs/cgroup/a/b/memory.max", "500000\n")]),
            Some(500_000)
        );
        let outer = [
            MEMINFO,
            two,
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.max", "400000\n"),
        ];
        assert_eq!(machine("v2-outer", &outer), Some(400_000));
        assert_eq!(machine("v2-top", &[MEMINFO, two, ("sys/fs/cgroup/memory.max", "9")]), Some(9));
        let one = ("proc/self/cgroup", "4:cpu,cpuacct:/x\n3:memory:/docker/y\n");
        let limit = |text| [MEMINFO, one, ("sys/fs/cgroup/memory/memory.limit_in_bytes", text)];
        assert_eq!(machine("v1", &limit("300000")), Some(300_000));
        assert_eq!(machine("v1-none", &limit("9223372036854771712")), Some(8_192_000_000));
    }

    #[test]
    fn what_makes_no_sense_is_passed_over() {
        assert_eq!(machine("odd", &[("proc/meminfo", "MemTotal: lots"), ("proc/self/cgroup", "x")]), None);
        let broken = [MEMINFO, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "?")];
        assert_eq!(machine("broken", &broken), Some(8_192_000_000));
    }
}
