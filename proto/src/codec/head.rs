//! MessagePack's grammar: the head of a value, and where a value ends. Nothing here recurses or allocates.

/// What stands at the start of a value. Scalars are complete; an array or map is followed by its values.
#[derive(Debug, PartialEq)]
pub(super) enum Head<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    /// Below zero; other integers are [`Head::Unsigned`], however they were written.
    Negative(i64),
    /// Single precision is widened, which is exact.
    Float(f64),
    /// Said to be UTF-8; not checked.
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Extension,
    Array(u32),
    Map(u32),
}

/// Bytes that are not MessagePack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("the MessagePack value is cut off")]
    CutOff,
    #[error("0xc1 is no MessagePack")]
    NeverUsed,
}

/// Reads values from the front of a slice.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is not read yet.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads one value to its end, however deep it nests.
    pub(super) fn value(&mut self) -> Result<&'a [u8], Broken> {
        let start = self.rest;
        let mut pending = 1_u64;
        while pending > 0 {
            pending -= 1;
            match self.head()? {
                Head::Array(count) => pending += u64::from(count),
                Head::Map(count) => pending += 2 * u64::from(count),
                _ => {}
            }
            // Every value has a byte at least. This also keeps the sum far from overflow.
            if pending > self.rest.len() as u64 {
                return Err(Broken::CutOff);
            }
        }
        let used = start.len() - self.rest.len();
        start.get(..used).ok_or(Broken::CutOff)
    }

    /// Reads a head, and with it the whole of a scalar.
    pub(super) fn head(&mut self) -> Result<Head<'a>, Broken> {
        let [marker] = self.take()?;
        Ok(match marker {
            0x00..=0x7f => Head::Unsigned(u64::from(marker)),
            0x80..=0x8f => Head::Map(u32::from(marker & 0x0f)),
            0x90..=0x9f => Head::Array(u32::from(marker & 0x0f)),
            0xa0..=0xbf => Head::Text(self.slice(u32::from(marker & 0x1f))?),
            0xc0 => Head::Nil,
            0xc1 => return Err(Broken::NeverUsed),
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4..=0xc6 => {
                let length = self.length(marker - 0xc4)?;
                Head::Bytes(self.slice(length)?)
            }
            0xc7..=0xc9 => {
                let length = self.length(marker - 0xc7)?;
                self.extension(length)?
            }
            0xca => Head::Float(f64::from(f32::from_be_bytes(self.take()?))),
            0xcb => Head::Float(f64::from_be_bytes(self.take()?)),
            0xcc..=0xce => Head::Unsigned(u64::from(self.length(marker - 0xcc)?)),
            0xcf => Head::Unsigned(u64::from_be_bytes(self.take()?)),
            0xd0 => integer(i64::from(i8::from_be_bytes(self.take()?))),
            0xd1 => integer(i64::from(i16::from_be_bytes(self.take()?))),
            0xd2 => integer(i64::from(i32::from_be_bytes(self.take()?))),
            0xd3 => integer(i64::from_be_bytes(self.take()?)),
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4))?,
            0xd9..=0xdb => {
                let length = self.length(marker - 0xd9)?;
                Head::Text(self.slice(length)?)
            }
            0xdc | 0xdd => Head::Array(self.length(marker - 0xdb)?),
            0xde | 0xdf => Head::Map(self.length(marker - 0xdd)?),
            0xe0..=0xff => integer(i64::from(i8::from_be_bytes([marker]))),
        })
    }

    /// An unsigned integer of 1, 2 or 4 bytes, for a `size` of 0, 1 or 2.
    fn length(&mut self, size: u8) -> Result<u32, Broken> {
        Ok(match size {
            0 => u32::from(u8::from_be_bytes(self.take()?)),
            1 => u32::from(u16::from_be_bytes(self.take()?)),
            _ => u32::from_be_bytes(self.take()?),
        })
    }

    fn extension(&mut self, length: u32) -> Result<Head<'a>, Broken> {
        let [_type] = self.take()?;
        self.slice(length)?;
        Ok(Head::Extension)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Broken::CutOff)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn slice(&mut self, length: u32) -> Result<&'a [u8], Broken> {
        let length = usize::try_from(length).map_err(|_| Broken::CutOff)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Broken::CutOff)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn integer(number: i64) -> Head<'static> {
    u64::try_from(number).map_or(Head::Negative(number), Head::Unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every marker, followed by more bytes than it can want: the head and the whole value end at the same place
    /// as `rmp` says, and cutting a byte off is noticed.
    #[test]
    fn every_marker_ends_where_it_should() {
        for marker in 0x00..=0xff_u8 {
            let mut bytes = vec![0; 300];
            bytes[0] = marker;
            let Ok(value) = Reader::new(&bytes).value() else {
                assert_eq!(marker, 0xc1);
                continue;
            };
            let mut source = rmp_serde::Deserializer::new(std::io::Cursor::new(&bytes));
            serde::Deserialize::deserialize(&mut source).map(|_: serde::de::IgnoredAny| ()).unwrap();
            assert_eq!(value.len() as u64, source.get_ref().position(), "marker {marker:#x}");
            assert_eq!(Reader::new(&value[..value.len() - 1]).value(), Err(Broken::CutOff));
        }
    }

    #[test]
    fn claims_are_not_believed() {
        for claim in [
            &[0xdd, 0xff, 0xff, 0xff, 0xff, 0x00][..],
            &[0xdf, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00],
            &[0xdb, 0xff, 0xff, 0xff, 0xff, 0x61],
            &[0xc6, 0xff, 0xff, 0xff, 0xff, 0x61],
            &[0xc9, 0xff, 0xff, 0xff, 0xff, 0x61],
        ] {
            assert_eq!(Reader::new(claim).value(), Err(Broken::CutOff));
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let mut deep = vec![0x91; 10_000_000];
        deep.push(0xc0);
        assert_eq!(Reader::new(&deep).value().map(<[u8]>::len), Ok(deep.len()));
    }
}
