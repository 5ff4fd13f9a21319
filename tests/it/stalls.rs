//! Threads that stand still: one is stopped from outside, and the others have to notice.
//!
//! A thread is stopped by `gdb`'s means: `ptrace`, through a few lines of Python, since no signal stops one thread alone.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::json;

use crate::support::{Client, Connect, Server, eventually, get, post, within};

/// Stops a thread until its standard input ends.
const STOP: &str = "
import ctypes, sys
libc, thread = ctypes.CDLL(None, use_errno=True), int(sys.argv[1])
SEIZE, INTERRUPT = 0x4206, 0x4207
for order in SEIZE, INTERRUPT:
    if libc.ptrace(order, thread, None, None):
        sys.exit('ptrace: errno %d' % ctypes.get_errno())
print('stopped', flush=True)
sys.stdin.read()
";

/// A thread that does nothing for as long as this lives.
struct Stopped(Child);

impl Stopped {
    fn thread(server: &Server, name: &str) -> Self {
        let tasks = fs::read_dir(format!("/proc/{}/task", server.id())).unwrap().map(Result::unwrap);
        let named =
            |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap().trim() == name;
        let thread = tasks.into_iter().find(named).unwrap_or_else(|| panic!("no thread {name}"));
        let mut child = Command::new("python3")
            .args(["-c", STOP, thread.file_name().to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "stopped");
        Self(child)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn a_shard_that_stands_still_is_noticed_and_passed_over() {
    let server = Server::start("shards = 2\nmax_stall_s = 600\n");
    let mut before = Vec::new();
    for _ in 0..4 {
        before.push(Client::connect(&server).await);
    }
    assert_eq!(get(server.address, "/readyz").await.status, 200);
    let stopped = Stopped::thread(&server, "shard-1");
    let ready = async || get(server.address, "/readyz").await;
    let told = eventually(async || {
        let answer = ready().await;
        (answer.status == 503).then_some(answer.body)
    })
    .await;
    assert!(told.contains("shard-1"), "{told}");
    // Every new connection is served, and publishing and control answer with what they reach.
    for _ in 0..6 {
        let mut client = Connect::to(&server).open().await;
        client.subscribe("chat:a").await;
    }
    let order = json!({ "user": "nobody" }).to_string();
    let answered = post(server.address, "/v1/disconnect", "", order.as_bytes());
    assert_eq!(within(Duration::from_secs(5), answered).await.status, 200);
    let listed = within(Duration::from_secs(5), get(server.address, "/v1/connections")).await.json();
    assert!(listed["connections"].as_array().unwrap().len() >= 2, "{listed}");
    drop(stopped);
    eventually(async || (ready().await.status == 200).then_some(())).await;
    for client in &mut before {
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_shard_that_does_not_come_back_ends_the_process() {
    let mut server = Server::start("shards = 2\nmax_stall_s = 4\n");
    let stopped = Stopped::thread(&server, "shard-0");
    eventually(async || server.output().contains("the process ends, so that").then_some(())).await;
    // As long as it is held, not even the end of the process gets at the thread.
    drop(stopped);
    let status = server.exit().await;
    assert!(!status.success(), "{status}");
    let output = server.output();
    assert!(output.contains("shard-0") && output.contains("max_stall_s"), "{output}");
}

#[tokio::test]
async fn with_its_only_shard_at_rest_a_broker_takes_no_sockets() {
    let server = Server::start("shards = 1\nmax_stall_s = 600\n");
    let _stopped = Stopped::thread(&server, "shard-0");
    eventually(async || (get(server.address, "/readyz").await.status == 503).then_some(())).await;
    let refused = within(Duration::from_secs(5), Connect::to(&server).attempt()).await;
    assert!(refused.is_err());
    server.signal("TERM");
}

#[tokio::test]
async fn a_store_that_stands_still_shows_and_takes_nobody_with_it() {
    let directory = crate::support::Scratch::new();
    let config = "max_stall_s = 4\n[[rule]]\npattern = 'kept:**'\ndurable = true\n";
    let server = crate::support::Launch::default()
        .config(config)
        .flag("--data-dir", directory.path().to_str().unwrap())
        .start();
    let stopped = Stopped::thread(&server, "store");
    let mut client = Client::connect(&server).await;
    client.send(&json!({ "type": "publish", "id": 1, "topic": "kept:a", "data": 1 })).await;
    let told = eventually(async || {
        let answer = get(server.address, "/readyz").await;
        assert_eq!(answer.status, 200, "reading and everything in memory goes on");
        answer.body.contains("degraded: the thread `store`").then_some(answer.body)
    })
    .await;
    assert!(told.starts_with("ready\n"), "{told}");
    assert_eq!(post(server.address, "/v1/topics/chat:a/messages", "", b"1").await.status, 200);
    drop(stopped);
    assert_eq!(client.expect("ok").await["id"], 1);
}

/// Runs the broker where its user may have so many threads; what it says, and whether it serves. The superuser may have any
/// number, so then it runs as somebody else.
async fn with_threads(
    binary: &std::path::Path,
    most: usize,
) -> Result<(Child, std::net::SocketAddr), String> {
    let mut command = Command::new("prlimit");
    if rustix::process::getuid().is_root() {
        command = Command::new("setpriv");
        command.args(["--reuid=64321", "--regid=64321", "--clear-groups", "prlimit"]);
    }
    let mut child = command
        .arg(format!("--nproc={most}"))
        .arg(binary)
        .args(["--listen", "127.0.0.1:0", "--shards", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let serves = tokio::task::spawn_blocking(move || {
        let mut lines = output.lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.split_once("ws://").map(|(_, url)| url.to_owned()))?;
        url.split('/').next()?.parse().ok()
    });
    match within(Duration::from_secs(30), serves).await.unwrap() {
        Some(address) => Ok((child, address)),
        None => {
            let output = child.wait_with_output().unwrap();
            assert!(!output.status.success());
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

#[tokio::test]
async fn without_threads_it_does_not_start_and_says_so() {
    let directory = crate::support::Scratch::new();
    let binary = directory.path().join("fanwire");
    // Where it was built, others may not look.
    fs::copy(env!("CARGO_BIN_EXE_fanwire"), &binary).unwrap();
    let refused = with_threads(&binary, 1).await.unwrap_err();
    assert!(refused.contains("thread") && refused.contains("ulimit -u"), "{refused}");
    if !rustix::process::getuid().is_root() {
        // Others run as the same user; how many threads there are is not for this test to say.
        return;
    }
    for most in 2..64 {
        match with_threads(&binary, most).await {
            Err(told) => assert!(told.contains("thread"), "{most}: {told}"),
            Ok((mut child, address)) => {
                // With not one thread to spare everything goes on, what blocks as well.
                for path in ["/readyz", "/v1/topics", "/v1/connections", "/v1/stats"] {
                    let answer = within(Duration::from_secs(10), get(address, path)).await;
                    assert_eq!(answer.status, 200, "{most} {path}: {}", answer.body);
                }
                child.kill().unwrap();
                child.wait().unwrap();
                return;
            }
        }
    }
    panic!("64 threads are not enough");
}
