//! The process that decodes, and may end by it.

use std::{
    env,
    fs::{self, File},
    ops::Range,
    os::unix::fs::FileExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use crate::{decoders::Decoder, mutate::Inputs};

/// Longest time of the processor that one input may take, in a release build; a debug build gets ten times as much.
const SLOW: Duration = Duration::from_millis(if cfg!(debug_assertions) { 20_000 } else { 2_000 });

pub(crate) fn run(decoder: &Decoder, seed: u64, range: Range<u64>, file: &Path) {
    let mut inputs = Inputs::of(decoder, seed);
    let mut decode = (decoder.decode)();
    let place = File::create(file).unwrap();
    let at = Arc::new(AtomicU64::new(range.start));
    watch(at.clone());
    let panicked = hear_panics();
    let (start, until) = (Instant::now(), seconds());
    let (mut slowest, mut reached) = (Duration::ZERO, range.start);
    for number in range {
        let input = inputs.make(number);
        place.write_all_at(&number.to_le_bytes(), 0).unwrap();
        at.store(number, Ordering::Relaxed);
        let before = processor();
        if catch_unwind(AssertUnwindSafe(|| decode(&input))).is_err() {
            eprintln!("{}", panicked.lock().unwrap_or_else(PoisonError::into_inner));
            process::exit(101);
        }
        slowest = slowest.max(processor() - before);
        reached = number + 1;
        if start.elapsed() > until {
            break;
        }
    }
    println!("{} {} {reached}", slowest.as_micros(), peak_kib());
}

/// How long to go on at most: `HOSTILE_SECONDS`.
fn seconds() -> Duration {
    env::var("HOSTILE_SECONDS").map_or(Duration::MAX, |text| Duration::from_secs(text.parse().unwrap()))
}

/// Ends the process when one input takes too long.
fn watch(at: Arc<AtomicU64>) {
    thread::spawn(move || {
        let (mut seen, mut since) = (0, Duration::ZERO);
        loop {
            thread::sleep(Duration::from_millis(50));
            let now = at.load(Ordering::Relaxed);
            if now != seen {
                (seen, since) = (now, processor());
            } else if processor().saturating_sub(since) > SLOW {
                eprintln!("it takes longer than {SLOW:?}");
                process::exit(102);
            }
        }
    });
}

/// Panics of this process so far, on all of its threads.
pub(crate) fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

static PANICS: AtomicU64 = AtomicU64::new(0);

/// What the last panic said; some of the decoders catch their libraries' and go on.
fn hear_panics() -> Arc<Mutex<String>> {
    let last = Arc::new(Mutex::new(String::new()));
    let heard = last.clone();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        *heard.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
    }));
    last
}

/// Time of the processor that this process has had.
fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// Most memory that was resident.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
