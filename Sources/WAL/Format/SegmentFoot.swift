/// The last 4096 bytes of a segment file (page 4 of the control file of a log that is one growing file): which segment
/// of which log it is, where its first frame begins, and how far the log was durable when it was last asked.
///
/// Each part lies in a sector of its own, 512 bytes apart, and is written alone: the header once, before the file gets its
/// name; the first-frame cell once, when it is known; the two durable cells in turns.
package struct SegmentFoot: Hashable, Sendable {
    package static let size = FormatLimits.pageSize
    package static let firstFrameOffset = 512
    package static let durableOffsets = [1024, 1536]

    /// Where the durable cell of a sequence number goes.
    package static func durableOffset(ofSequence sequence: UInt64) -> Int { durableOffsets[Int(sequence % 2)] }

    package var header: Header
    /// nil: not yet known.
    package var firstFrame: Result<FirstFrameCell?, FormatError>
    /// Two; nil: not yet written.
    package var cells: [Result<DurableCell?, FormatError>]

    /// The foot of a fresh segment: nothing but the header.
    package init(header: Header) {
        self.header = header
        firstFrame = .success(nil)
        cells = [.success(nil), .success(nil)]
    }

    /// The 4096 bytes of a fresh foot.
    package static func encodeFresh(_ header: Header) -> [UInt8] {
        header.encode() + [UInt8](repeating: 0, count: size - Header.size)
    }

    /// Reads the 4096 bytes of a foot. Throws where the header does not verify; damage in a cell is that cell's error.
    package static func decode(_ bytes: [UInt8]) throws(FormatError) -> SegmentFoot {
        let reader = ByteReader("segment foot", bytes)
        try reader.requireMagic("WALSHIPS")
        try reader.requireCount(size)
        let header = try Header.decode(Array(bytes[..<Header.size]))
        var foot = SegmentFoot(header: header)
        foot.firstFrame = Result { () throws(FormatError) in
            try FirstFrameCell.decode(
                Array(bytes[firstFrameOffset..<firstFrameOffset + FirstFrameCell.size]), in: header)
        }
        foot.cells = durableOffsets.map { offset in
            Result { () throws(FormatError) in
                let cell = try DurableCell.decode(Array(bytes[offset..<offset + DurableCell.size]), in: header)
                if let cell, durableOffset(ofSequence: cell.sequence) != offset {
                    throw reader.invalid(
                        "sequence of the durable cell", at: offset + 16, found: cell.sequence,
                        expected: offset == durableOffsets[0] ? "an even number" : "an odd number")
                }
                return cell
            }
        }
        return foot
    }

    /// The durable cell that rules; nil where none is intact.
    package func chooseCell() -> DurableCell? { SegmentFoot.chooseCell(cells) }

    /// The intact cell with the greatest sequence; nil where there is none.
    package static func chooseCell(_ cells: [Result<DurableCell?, FormatError>]) -> DurableCell? {
        cells.compactMap { (try? $0.get()) ?? nil }.max { $0.sequence < $1.sequence }
    }
}

extension SegmentFoot {
    /// Which segment of which log. Written before the file gets its name, and never changed.
    package struct Header: Hashable, Sendable {
        package static let size = 44

        package var logID: LogID
        package var index: UInt64
        /// Bytes of log in the segment; 0 (with index 0) in a log that is one growing file.
        package var segmentSize: UInt64

        package init(logID: LogID, index: UInt64, segmentSize: UInt64) {
            self.logID = logID
            self.index = index
            self.segmentSize = segmentSize
        }

        /// The LSNs whose bytes the file holds; all there are in a log that is one growing file.
        package var range: Range<LSN> {
            segmentSize == 0
                ? .zero..<LSN(FormatLimits.lsnMax)
                : LSN(index * segmentSize)..<LSN((index + 1) * segmentSize)
        }

        package func encode() -> [UInt8] {
            precondition(segmentSize == 0 || FormatLimits.isSegmentSize(segmentSize), "segment size \(segmentSize)")
            precondition(index <= FormatLimits.segmentIndexMax(segmentSize: segmentSize), "segment index \(index)")
            var writer = ByteWriter(count: Header.size)
            writer.put(magic: "WALSHIPS", at: 0)
            writer.put(logID, at: 8)
            writer.put(index, at: 24)
            writer.put(segmentSize, at: 32)
            writer.putChecksum(at: 40)
            return writer.bytes
        }

        package static func decode(_ bytes: [UInt8]) throws(FormatError) -> Header {
            let reader = ByteReader("segment foot", bytes)
            try reader.requireMagic("WALSHIPS")
            try reader.requireCount(size)
            try reader.requireChecksum(at: 40)
            let segmentSize = try reader.u64("segment size", at: 32)
            guard segmentSize == 0 || FormatLimits.isSegmentSize(segmentSize) else {
                throw reader.invalid(
                    "segment size", at: 32, found: segmentSize,
                    expected: "0, or a multiple of 4096 from 4096 to 1073741824")
            }
            let indices = 0...FormatLimits.segmentIndexMax(segmentSize: segmentSize)
            return Header(
                logID: try reader.logID(at: 8), index: try reader.u64("segment index", at: 24, in: indices),
                segmentSize: segmentSize)
        }

        /// The checksum of a cell of this foot: bound to log and index, so a cell of another file does not verify.
        fileprivate func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
            StoredChecksum.of(bytes, after: StoredChecksum.binding(logID: logID, index: index))
        }
    }

    /// Where the first frame that begins in the segment begins. Known once the bytes before it are written.
    package struct FirstFrameCell: Hashable, Sendable {
        package static let size = 12

        /// nil: no frame begins in this segment.
        package var lsn: LSN?

        package init(lsn: LSN?) { self.lsn = lsn }

        /// The twelve bytes for the segment of `header`.
        package func encode(in header: Header) -> [UInt8] {
            if let lsn { precondition(header.range.contains(lsn), "LSN \(lsn) is not in segment \(header.index)") }
            var writer = ByteWriter(count: FirstFrameCell.size)
            writer.put(lsnOrNone: lsn, at: 0)
            writer.put(header.checksum(writer.bytes[..<8]), at: 8)
            return writer.bytes
        }

        /// nil where all bytes are zero: not yet known.
        package static func decode(_ bytes: [UInt8], in header: Header) throws(FormatError) -> FirstFrameCell? {
            let reader = ByteReader("first-frame cell of segment \(header.index)", bytes)
            try reader.requireCount(size)
            if bytes.allSatisfy({ $0 == 0 }) { return nil }
            try reader.requireChecksum(header.checksum(bytes[..<8]), at: 8)
            let lsn = try reader.lsnOrNone("first frame", at: 0)
            if let lsn, !header.range.contains(lsn) {
                throw reader.invalid(
                    "first frame", at: 0, found: lsn,
                    expected: "\(header.range.lowerBound) to below \(header.range.upperBound)")
            }
            return FirstFrameCell(lsn: lsn)
        }
    }

    /// A durable LSN and the epoch under which it was reached.
    package struct DurableCell: Hashable, Sendable {
        package static let size = 28

        package var epoch: EpochID
        package var durable: LSN
        /// Counts the cells of this foot, from 1.
        package var sequence: UInt64

        package init(epoch: EpochID, durable: LSN, sequence: UInt64) {
            self.epoch = epoch
            self.durable = durable
            self.sequence = sequence
        }

        /// The 28 bytes for the foot of `header`, to be written at `durableOffset(ofSequence:)`.
        package func encode(in header: Header) -> [UInt8] {
            precondition(1...FormatLimits.counterMax ~= sequence, "cell sequence \(sequence)")
            var writer = ByteWriter(count: DurableCell.size)
            writer.put(epoch.rawValue, at: 0)
            writer.put(durable, at: 8)
            writer.put(sequence, at: 16)
            writer.put(header.checksum(writer.bytes[..<24]), at: 24)
            return writer.bytes
        }

        /// nil where all bytes are zero: not yet written.
        package static func decode(_ bytes: [UInt8], in header: Header) throws(FormatError) -> DurableCell? {
            let reader = ByteReader("durable cell of segment \(header.index)", bytes)
            try reader.requireCount(size)
            if bytes.allSatisfy({ $0 == 0 }) { return nil }
            try reader.requireChecksum(header.checksum(bytes[..<24]), at: 24)
            return DurableCell(
                epoch: EpochID(rawValue: try reader.u64("epoch id", at: 0)),
                durable: try reader.lsn("durable LSN", at: 8),
                sequence: try reader.u64("sequence", at: 16, in: 1...FormatLimits.counterMax))
        }
    }
}
