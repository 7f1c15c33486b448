//! Packing in two parts: what is kept between scrapes, packed once, and what each scrape adds to it.
//!
//! Both make one gzip member, or one zstd frame. Members and frames may be put one after the other as well, but not every
//! client reads beyond the first: curl fails at the second member.
//!
//! * gzip (RFC 1952): the kept part ends on a byte (a "sync flush" of RFC 1951), so a deflate stream of its own can follow; the
//!   checksums of both are combined.
//! * zstd (RFC 8878): the kept part ends with a block that is not the last, and raw blocks, which need no memory of what was
//!   before them, end the frame.

use std::io;

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use zstd::stream::raw::{Encoder, InBuffer, Operation as _, OutBuffer};

use super::body::Pieces;
use super::negotiation::Coding;

/// Best speed: a metrics text is so repetitive that more effort gains little, and a scrape is waiting.
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;

/// Identification, deflate, no flags, no time, least effort, Unix.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3];

/// Magic number, no flags, a window of 128 KiB.
const ZSTD_HEADER: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];

/// What packed bytes are collected in: one large buffer would be copied again and again while it grows.
const PIECE: usize = 64 << 10;
/// The largest block of zstd; smaller only where the window is, which is never so small here.
const ZSTD_BLOCK: usize = 128 << 10;

/// The packed part that is kept.
pub(super) struct Packed {
    pieces: Vec<Bytes>,
    end: End,
}

/// What the end of the body depends on.
enum End {
    Identity,
    Gzip(Crc),
    Zstd,
}

impl Packed {
    /// Packs what `fill` hands out.
    pub(super) fn new(coding: Coding, fill: impl FnOnce(&mut dyn FnMut(&[u8]))) -> io::Result<Self> {
        let mut packer = Packer::new(coding)?;
        let mut failed = None;
        fill(&mut |piece| {
            if failed.is_none() {
                failed = packer.write(piece).err();
            }
        });
        failed.map_or_else(|| packer.finish(), Err)
    }

    /// The body: this part, shared, and `tail`.
    pub(super) fn followed_by(&self, tail: Vec<u8>) -> io::Result<Pieces> {
        let tail = match &self.end {
            End::Identity => tail,
            End::Gzip(kept) => gzip_end(kept, &tail)?,
            End::Zstd => zstd_end(&tail),
        };
        Ok(Pieces::new(self.pieces.iter().cloned().chain([Bytes::from(tail)])))
    }
}

enum Packer {
    Identity(Vec<Bytes>),
    Gzip { deflate: Compress, crc: Crc, out: Out },
    Zstd { encoder: Encoder<'static>, out: Out },
}

impl Packer {
    fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Identity => Self::Identity(Vec::new()),
            Coding::Gzip => {
                let mut out = Out::default();
                out.room().extend_from_slice(&GZIP_HEADER);
                Self::Gzip { deflate: Compress::new(Compression::new(GZIP_LEVEL), false), crc: Crc::new(), out }
            }
            Coding::Zstd => Self::Zstd { encoder: Encoder::new(ZSTD_LEVEL)?, out: Out::default() },
        })
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Identity(pieces) => pieces.push(Bytes::copy_from_slice(piece)),
            Self::Gzip { deflate, crc, out } => {
                crc.update(piece);
                run_deflate(deflate, piece, FlushCompress::None, out)?;
            }
            Self::Zstd { encoder, out } => {
                let mut from = InBuffer::around(piece);
                while from.pos() < piece.len() {
                    out.write(|to| encoder.run(&mut from, to))?;
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> io::Result<Packed> {
        Ok(match self {
            Self::Identity(pieces) => Packed { pieces, end: End::Identity },
            Self::Gzip { mut deflate, crc, mut out } => {
                run_deflate(&mut deflate, &[], FlushCompress::Sync, &mut out)?;
                Packed { pieces: out.finish(), end: End::Gzip(crc) }
            }
            Self::Zstd { mut encoder, mut out } => {
                while out.write(|to| encoder.flush(to))? > 0 {}
                if out.is_empty() {
                    // Of nothing it makes nothing, not even the head of a frame.
                    out.room().extend_from_slice(&ZSTD_HEADER);
                }
                Packed { pieces: out.finish(), end: End::Zstd }
            }
        })
    }
}

/// Packs the input, all of it, and with a flush all that is held back.
fn run_deflate(deflate: &mut Compress, input: &[u8], flush: FlushCompress, out: &mut Out) -> io::Result<()> {
    let begin = deflate.total_in();
    loop {
        // The input was in memory: what was read of it fits.
        let rest = &input[(deflate.total_in() - begin) as usize..];
        let room = out.room();
        let status = deflate.compress_vec(rest, room, flush)?;
        let is_read = deflate.total_in() - begin == input.len() as u64;
        // With room to spare it has nothing more to say.
        if status == Status::StreamEnd || is_read && room.len() < room.capacity() {
            return Ok(());
        }
    }
}

fn gzip_end(kept: &Crc, tail: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Out::default();
    run_deflate(&mut Compress::new(Compression::new(GZIP_LEVEL), false), tail, FlushCompress::Finish, &mut out)?;
    let (mut whole, mut crc) = (Crc::new(), Crc::new());
    crc.update(tail);
    whole.combine(kept);
    whole.combine(&crc);
    let mut end = out.finish().concat();
    end.extend_from_slice(&whole.sum().to_le_bytes());
    // The length, modulo 2^32.
    end.extend_from_slice(&whole.amount().to_le_bytes());
    Ok(end)
}

fn zstd_end(tail: &[u8]) -> Vec<u8> {
    let mut end = Vec::with_capacity(tail.len() + 16);
    let mut blocks = tail.chunks(ZSTD_BLOCK).peekable();
    loop {
        let block = blocks.next().unwrap_or_default();
        let last = blocks.peek().is_none();
        // Three bytes: whether it is the last, two bits for its kind (0 is raw), and its length.
        let header = u32::try_from(block.len()).expect("no longer than ZSTD_BLOCK") << 3 | u32::from(last);
        end.extend_from_slice(&header.to_le_bytes()[..3]);
        end.extend_from_slice(block);
        if last {
            return end;
        }
    }
}

/// Packed bytes, piece by piece.
#[derive(Default)]
struct Out {
    full: Vec<Bytes>,
    open: Vec<u8>,
}

impl Out {
    const fn is_empty(&self) -> bool {
        self.full.is_empty() && self.open.is_empty()
    }

    /// A buffer that has room.
    fn room(&mut self) -> &mut Vec<u8> {
        if self.open.len() == self.open.capacity() {
            if !self.open.is_empty() {
                self.full.push(Bytes::from(std::mem::take(&mut self.open)));
            }
            self.open.reserve_exact(PIECE);
        }
        &mut self.open
    }

    fn write<T>(&mut self, write: impl FnOnce(&mut OutBuffer<'_, Vec<u8>>) -> io::Result<T>) -> io::Result<T> {
        let room = self.room();
        let at = room.len();
        write(&mut OutBuffer::around_pos(room, at))
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.open.shrink_to_fit();
        self.full.push(Bytes::from(self.open));
        self.full
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http_body_util::BodyExt as _;
    use proptest::prelude::*;

    use super::*;

    fn packed(coding: Coding, pieces: &[&[u8]], tail: &[u8]) -> Vec<u8> {
        let packed = Packed::new(coding, |give| pieces.iter().for_each(|piece| give(piece))).unwrap();
        let body = packed.followed_by(tail.to_vec()).unwrap();
        let length = body.bytes();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(body.collect()).unwrap().to_bytes().to_vec();
        assert_eq!(bytes.len() as u64, length);
        bytes
    }

    /// As a client does that stops at the end of the first member or frame; whatever is left over is a failure.
    fn unpacked(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let (mut out, mut rest) = (Vec::new(), bytes);
        match coding {
            Coding::Identity => return bytes.to_vec(),
            Coding::Gzip => flate2::bufread::GzDecoder::new(&mut rest).read_to_end(&mut out).unwrap(),
            Coding::Zstd => {
                zstd::Decoder::with_buffer(&mut rest).unwrap().single_frame().read_to_end(&mut out).unwrap()
            }
        };
        assert!(rest.is_empty(), "{coding:?}: {} bytes left over", rest.len());
        out
    }

    fn text(lines: usize) -> Vec<u8> {
        (0..lines).flat_map(|n| format!("metric{{bot=\"{n}\"}} {}\n", n * n).into_bytes()).collect()
    }

    #[test]
    fn both_parts_are_one_member_and_one_frame() {
        let large = text(200_000);
        for coding in Coding::ALL {
            for (pieces, tail) in [
                (vec![], &b""[..]),
                (vec![&b"a"[..]], b""),
                (vec![], b"b"),
                (vec![&large[..], &b""[..], b"x"], &large[..300_000]),
                (large.chunks(60_000).collect(), b"# EOF\n"),
            ] {
                let bytes = packed(coding, &pieces, tail);
                assert!(unpacked(coding, &bytes) == [pieces.concat(), tail.to_vec()].concat(), "{coding:?}");
            }
            if coding != Coding::Identity {
                assert!(packed(coding, &[&large], b"").len() < large.len() / 2, "{coding:?} packs");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_bytes_come_back(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..70_000), 0..4), tail in prop::collection::vec(any::<u8>(), 0..9_000)) {
            let slices: Vec<&[u8]> = pieces.iter().map(|piece| &**piece).collect();
            for coding in Coding::ALL {
                prop_assert!(unpacked(coding, &packed(coding, &slices, &tail)) == [pieces.concat(), tail.clone()].concat());
            }
        }
    }
}
