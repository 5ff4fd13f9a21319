//! Where the bytes of a message are kept for all who get it.

use once_cell::race::OnceBox;

use super::{Frame, Framing};

/// A registered [`Dialect`](super::Dialect).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DialectId(pub(super) u32);

impl DialectId {
    /// A small number of its own.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which of a dialect's own forms of a message a subscription has chosen; the first is what it gets without choosing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Variant(pub u8);

/// What decides about the bytes of a message: all who have the same one get the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Encoding {
    /// Whose words.
    pub dialect: DialectId,
    /// In which form.
    pub variant: Variant,
    /// How they travel.
    pub framing: Framing,
}

/// One slot per encoding that was asked for; one word while there is none.
///
/// A list: a message has one or two encodings, seldom more, so that there is nothing faster. Any thread may add to it.
#[derive(Debug, Default)]
pub struct Encoded(OnceBox<Slot>);

#[derive(Debug)]
struct Slot {
    encoding: Encoding,
    frame: Frame,
    next: Encoded,
}

impl Encoded {
    /// What this encoding makes of it, on first use. Two threads that ask for the first time may both make them; both get
    /// the same one.
    pub fn get(&self, encoding: Encoding, make: impl FnOnce() -> Frame) -> &Frame {
        let (mut at, mut make, mut new) = (self, Some(make), None);
        loop {
            match at.0.get() {
                // The list only grows, so what was handed out stays where it is.
                Some(slot) if slot.encoding == encoding => return &slot.frame,
                Some(slot) => at = &slot.next,
                None => {
                    let made =
                        || Some(Box::new(Slot { encoding, frame: make.take()?(), next: Self::default() }));
                    // Whoever finds the place taken meanwhile tries the next one, unless theirs is the same.
                    new = new.or_else(made).and_then(|slot| at.0.set(slot).err());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    fn shared(frame: &Frame) -> &[u8] {
        match frame {
            Frame::Shared(bytes) => bytes,
            Frame::Mixed(_) => panic!("nothing is anybody's own"),
        }
    }

    fn encoding(dialect: u32, variant: u8) -> Encoding {
        let dialect = DialectId(dialect);
        Encoding { dialect, variant: Variant(variant), framing: Framing::WebSocket }
    }

    #[test]
    fn unused_slots_cost_a_word_and_an_encoding_little_more() {
        assert_eq!(size_of::<Encoded>(), size_of::<usize>());
        assert_eq!(size_of::<Encoding>(), 12);
    }

    #[test]
    fn each_encoding_is_made_once() {
        let encoded = Encoded::default();
        let made = AtomicUsize::new(0);
        for _ in 0..3 {
            for (dialect, variant) in [(0, 0), (1, 0), (0, 1), (900, 255)] {
                let bytes = encoded.get(encoding(dialect, variant), || {
                    made.fetch_add(1, Ordering::Relaxed);
                    Frame::Shared(vec![dialect.to_le_bytes()[0], variant].into())
                });
                assert_eq!(shared(bytes), [dialect.to_le_bytes()[0], variant]);
            }
        }
        assert_eq!(made.into_inner(), 4);
    }

    #[test]
    fn threads_that_ask_at_once_get_the_same_bytes_and_nobody_elses() {
        for _ in 0..200 {
            let (encoded, start) = (Encoded::default(), Barrier::new(4));
            let ask = |first: u32| {
                start.wait();
                let asked = [first, first ^ 1].map(|dialect| {
                    let bytes = encoded.get(encoding(dialect, 0), || {
                        Frame::Shared(vec![dialect.to_le_bytes()[0]; 9].into())
                    });
                    assert_eq!(shared(bytes)[0], dialect.to_le_bytes()[0]);
                    (dialect, shared(bytes).as_ptr() as usize)
                });
                asked.into_iter().collect::<std::collections::BTreeMap<_, _>>()
            };
            let answers: Vec<_> = std::thread::scope(|scope| {
                let asking: Vec<_> = (0..4).map(|first| scope.spawn(move || ask(first % 2))).collect();
                asking.into_iter().map(|asked| asked.join().unwrap()).collect()
            });
            assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
        }
    }
}
