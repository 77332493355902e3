/// Every limit of the formats in `docs/format/log.md`, in one place. A value outside is refused wherever it is read, so
/// arithmetic on values that have been read cannot overflow.
package enum FormatLimits {
    /// Bytes in a page: the unit of the control file, of slots' halves and of a segment's foot.
    package static let pageSize = 4096
    /// The greatest LSN. Leaves room for sums of two positions, and is a million years of 100 MB a second.
    package static let lsnMax: UInt64 = 1 << 62
    /// The greatest generation or sequence number, so that the next one always exists.
    package static let counterMax: UInt64 = 1 << 62
    /// Bytes of log in a segment; also a multiple of `pageSize`. Below, feet outweigh the log; above, recovery's copy of
    /// one segment takes too long.
    package static let segmentSizes: ClosedRange<UInt64> = 4096...(1 << 30)
    /// Bytes in a record: what 31 bits of the length field can say.
    package static let recordSizes: ClosedRange<Int> = 1...0x7FFF_FFFF
    /// The greatest epoch number: ten digits in the archive's object names.
    package static let epochNumberMax: UInt64 = 9_999_999_999
    /// Epochs in a facts page: 128 entries of 24 bytes end before its checksum.
    package static let epochsInPlace = 128
    /// Epochs in an `epochs-<generation>` file (24 MB): more promotions than any log will see.
    package static let epochsInFile = 1_000_000
    /// Levels of tail objects a destination's slot keeps track of.
    package static let tailLevels = 4
    /// Ranges that a destination has given up and that are not yet recorded in its archive: the oldest may be told already, so that it does not change
    /// any more, and what is given up after that is the other.
    package static let slotGaps = 2
    /// Bytes in a slot's name.
    package static let slotNameLengths = 1...64
    /// Bytes of a lock file's text that are read.
    package static let lockTextMax = 4096
    /// Bytes of a `.times` file that are written or read; further times are not recorded.
    package static let timesFileMax = 64 << 20

    /// Whether `size` can be a segment size: a multiple of 4096 from 4 KiB to 1 GiB.
    package static func isSegmentSize(_ size: UInt64) -> Bool {
        segmentSizes.contains(size) && size.isMultiple(of: UInt64(pageSize))
    }

    /// The greatest index of a segment of `segmentSize` bytes: its last byte lies below `lsnMax`. 0 for a log that is one
    /// growing file.
    package static func segmentIndexMax(segmentSize: UInt64) -> UInt64 {
        segmentSize == 0 ? 0 : lsnMax / segmentSize - 1
    }
}
