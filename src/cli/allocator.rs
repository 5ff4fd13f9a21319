//! The allocator, and having it give back what is free when the process comes near the bound of its memory.

use fanwire::{defaults, memory};

/// Gives back what is free, whichever thread freed it. The C library has heaps of up to 64 MiB for each few threads, in which a little
/// that is in use keeps much that is not. Built without huge pages: with them a broker that serves a thousand takes 30 MiB
/// instead of 8, and one whose topics come and go half as much again, for no processor time that could be measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// When what is free is given back at once. By itself the allocator waits for a second, and then for a thread that allocates: what
/// is used every moment stays, which is cheaper, but a peak on a thread that rests afterwards stays as well.
pub struct GivingBack {
    max: usize,
    /// Resident bytes from which on it is worth a try.
    from: usize,
    /// Looks since the last try.
    looks: u32,
    /// Threads were asked at the last look.
    asked: bool,
}

/// After so many looks it is tried again, however little was gained the last time: what was in use then may be free.
const LOOKS: u32 = 10;

impl GivingBack {
    /// For a process that may take so many bytes.
    pub fn new(max: usize) -> Self {
        memory::relieve_with(collect);
        Self { max, from: Self::threshold(max), looks: 0, asked: false }
    }

    const fn threshold(max: usize) -> usize {
        max / 100 * defaults::GIVE_BACK_HUNDREDTHS
    }

    /// Looks how much is resident, and asks all threads to give back what is free if that is much. To be called about once a
    /// second, so that they have come by until the next look. Returns whether they were asked.
    pub fn look(&mut self) -> bool {
        let Some(resident) = memory::resident_bytes() else { return false };
        if std::mem::take(&mut self.asked) {
            self.done(resident);
        } else if self.is_due(resident) {
            memory::ask_for_relief();
            self.asked = true;
        }
        memory::relieve();
        self.asked
    }

    fn is_due(&mut self, resident: usize) -> bool {
        self.looks += 1;
        if resident < Self::threshold(self.max) || self.looks >= LOOKS {
            self.from = Self::threshold(self.max);
        }
        resident >= self.from
    }

    /// What is resident now is in use: the next try is once there is a twentieth more.
    fn done(&mut self, resident: usize) {
        self.from = Self::threshold(self.max).max(resident + self.max / 20);
        self.looks = 0;
    }
}

#[expect(unsafe_code, reason = "the allocator's own function, which its crate has no safe form of")]
fn collect() {
    // SAFETY: mimalloc says that any thread may call it at any time; it touches nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_is_in_use_is_not_looked_for_again_and_again() {
        let mut giving = GivingBack::new(1_000);
        assert!(!giving.is_due(599));
        assert!(giving.is_due(600));
        giving.done(700);
        assert!(!giving.is_due(749));
        assert!(giving.is_due(750));
        giving.done(300);
        assert!(giving.is_due(600), "it was free");
        giving.done(900);
        assert!(!giving.is_due(500));
        assert!(giving.is_due(600), "it was little in between");
        giving.done(900);
        assert_eq!(
            (1..=10).filter(|_| giving.is_due(900)).count(),
            1,
            "and now and then it is looked for again"
        );
    }

    /// What a thread has allocated is there for it alone, even when others have freed it.
    #[test]
    fn what_is_free_is_given_back_by_each_thread() {
        memory::relieve_with(collect);
        let (made, took) = mpsc::channel();
        let (freed, go_on) = mpsc::channel();
        let (relieved, done) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let block = |_| std::hint::black_box(vec![1_u8; 1 << 10]);
            let blocks: Vec<_> = (0..64 << 10).map(block).collect();
            // Pages of which it has freed a part itself are its own again; full ones are anybody's.
            let rest = blocks.into_iter().enumerate().filter(|(index, _)| index % 8 > 0);
            made.send(rest.map(|(_, block)| block).collect()).unwrap();
            go_on.recv().unwrap();
            memory::relieve();
            relieved.send(()).unwrap();
            // It rests, and does not end: what it keeps would be given back then.
            let _ = go_on.recv();
        });
        let blocks: Vec<Vec<u8>> = took.recv().unwrap();
        let with = memory::resident_bytes().unwrap();
        drop(blocks);
        collect();
        assert!(memory::resident_bytes().unwrap() > with - (32 << 20), "nobody else can");
        memory::ask_for_relief();
        freed.send(()).unwrap();
        done.recv().unwrap();
        assert!(memory::resident_bytes().unwrap() < with - (32 << 20));
        drop(freed);
        thread.join().unwrap();
    }
}
