//! Values as lib0 writes them (`writeAny`), and as JSON has them.

use serde_json::{Map, Number, Value};

use super::lib0::{DEPTH_MAX, Malformed, Reader, put_bytes, put_uint};

/// Reads a value. What JSON does not have is put in its terms: bytes as base64, `undefined` and numbers that are none as
/// null.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Value, Malformed> {
    nested(reader, 0)
}

fn nested(reader: &mut Reader<'_>, depth: usize) -> Result<Value, Malformed> {
    if depth > DEPTH_MAX {
        return Err(reader.wrong("a value nested too deep"));
    }
    Ok(match reader.byte()? {
        127 | 126 => Value::Null,
        125 => reader.int()?.into(),
        124 => float(f32::from_be_bytes(reader.array()?).into()),
        123 => float(f64::from_be_bytes(reader.array()?)),
        122 => i64::from_be_bytes(reader.array()?).into(),
        121 => false.into(),
        120 => true.into(),
        119 => reader.text()?.into(),
        118 => {
            let mut map = Map::new();
            for _ in 0..reader.count(2)? {
                let key = reader.text()?.to_owned();
                map.insert(key, nested(reader, depth + 1)?);
            }
            map.into()
        }
        117 => {
            let mut list = Vec::new();
            for _ in 0..reader.count(1)? {
                list.push(nested(reader, depth + 1)?);
            }
            list.into()
        }
        116 => data_encoding::BASE64.encode(reader.bytes()?).into(),
        _ => return Err(reader.wrong("a value of no known type")),
    })
}

/// A number as it is read once it was written.
pub(super) fn normal(number: &Number) -> Value {
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => whole.into(),
        (None, number) => float(number.unwrap_or(f64::NAN)),
    }
}

/// Whole numbers are whole in JSON as well.
fn float(number: f64) -> Value {
    /// 2^53: beyond it not every whole number is one.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0
        && number.abs() < EXACT
        && let Ok(Value::Number(whole)) = serde_json::from_str(&format!("{number:.0}"))
        // As a whole number -0 would lose its sign, and be another value when it is written back.
        && !(number == 0.0 && number.is_sign_negative())
    {
        return Value::Number(whole);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// Why a value cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooDeep;

/// Writes a value as JavaScript's lib0 writes what it reads from the same JSON; whole numbers that JavaScript does not have
/// exactly as its `BigInt`.
pub(super) fn write(value: &Value, buffer: &mut Vec<u8>) -> Result<(), TooDeep> {
    write_nested(value, buffer, 0)
}

fn write_nested(value: &Value, buffer: &mut Vec<u8>, depth: usize) -> Result<(), TooDeep> {
    if depth > DEPTH_MAX {
        return Err(TooDeep);
    }
    match value {
        Value::Null => buffer.push(126),
        Value::Bool(false) => buffer.push(121),
        Value::Bool(true) => buffer.push(120),
        Value::Number(number) => write_number(number, buffer),
        Value::String(text) => {
            buffer.push(119);
            put_bytes(buffer, text.as_bytes());
        }
        Value::Array(list) => {
            buffer.push(117);
            put_uint(buffer, list.len() as u64);
            list.iter().try_for_each(|item| write_nested(item, buffer, depth + 1))?;
        }
        Value::Object(map) => {
            buffer.push(118);
            put_uint(buffer, map.len() as u64);
            for (key, item) in map {
                put_bytes(buffer, key.as_bytes());
                write_nested(item, buffer, depth + 1)?;
            }
        }
    }
    Ok(())
}

fn write_number(number: &Number, buffer: &mut Vec<u8>) {
    /// JavaScript's bit operations take no more, so lib0 writes larger ones as floats.
    const SMALL: i64 = (1 << 31) - 1;
    const SAFE: i64 = (1 << 53) - 1;
    match number.as_i64() {
        Some(small) if small.abs() <= SMALL => {
            buffer.push(125);
            write_int(small, buffer);
        }
        Some(large) if !(-SAFE..=SAFE).contains(&large) => {
            buffer.push(122);
            buffer.extend(large.to_be_bytes());
        }
        _ => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            #[expect(clippy::cast_possible_truncation, reason = "compared with what it was")]
            let short = number as f32;
            if f64::from(short).to_bits() == number.to_bits() {
                buffer.push(124);
                buffer.extend(short.to_be_bytes());
            } else {
                buffer.push(123);
                buffer.extend(number.to_be_bytes());
            }
        }
    }
}

/// `writeVarInt`: a sign and six bits, then seven at a time.
fn write_int(number: i64, buffer: &mut Vec<u8>) {
    let (sign, mut rest) = (if number < 0 { 0x40 } else { 0 }, number.unsigned_abs());
    let first = rest.to_le_bytes()[0] & 0x3f | sign;
    rest >>= 6;
    buffer.push(if rest > 0 { first | 0x80 } else { first });
    if rest > 0 {
        put_uint(buffer, rest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn there_and_back(value: &Value) -> Value {
        let mut bytes = Vec::new();
        write(value, &mut bytes).unwrap();
        let mut reader = Reader::new(&bytes);
        let read = read(&mut reader).unwrap();
        assert_eq!(reader.end(), Ok(()));
        assert_eq!(Reader::new(&bytes).skip_any(0), Ok(()));
        read
    }

    #[test]
    fn values_come_back() {
        let value = json!({"a": [1, -1, 63, 64, -64, 2_147_483_647, -2_147_483_648_i64, 9_007_199_254_740_993_i64],
            "b": [0.5, 0.1, 1e300, -0.25], "c": {"d": null, "e": [true, false, "é😀", ""]}});
        assert_eq!(there_and_back(&value), value);
        let mut deep = json!(1);
        (0..=DEPTH_MAX).for_each(|_| deep = json!([deep.clone()]));
        assert_eq!(write(&deep, &mut Vec::new()), Err(TooDeep));
    }

    proptest! {
        #[test]
        fn whole_numbers_come_back(number in any::<i64>()) {
            prop_assert_eq!(there_and_back(&json!(number)), json!(number));
        }

        #[test]
        fn garbage_is_an_error_or_a_value(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&mut Reader::new(&bytes));
        }
    }
}
