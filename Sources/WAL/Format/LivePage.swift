/// Page 3 of a control file: what the writer says about itself right now. Words of eight aligned bytes without a checksum,
/// mapped and read and written one at a time as atomics. The constants are offsets in the page.
package enum LivePage {
    package static let size = FormatLimits.pageSize
    /// "WALSHIPL" as a little-endian word; written with the page, never changed.
    package static let magicWord: UInt64 = 0x4C50_4948_534C_4157

    package static let magic = 0
    package static let durable = 8
    package static let written = 16
    package static let head = 24
    /// Two words, random at each open for writing; a change of either is a change.
    package static let incarnationHigh = 32
    package static let incarnationLow = 40
    /// The boot id of the kernel that the page was written under, as two big-endian halves.
    package static let bootHigh = 48
    package static let bootLow = 56
    package static let flags = 64
    package static let blockedBy = 72
    package static let writer = 80
    /// Appends that wait because of `blockedFlag`.
    package static let waitingAppends = 88

    /// Bit of `flags`: a flush failed, or the log was closed: the writer takes no more appends.
    package static let stoppedFlag: UInt64 = 1 << 0
    /// Bit of `flags`: appends that need the next segment wait while somebody holds `LogLock.blockingByte`. The process `blockedBy` set it last.
    package static let blockedFlag: UInt64 = 1 << 1
}
