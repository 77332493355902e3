/// Page 0 of a control file: what a log is from its birth on. Written once.
package struct IdentityPage: Hashable, Sendable {
    /// The one version of the format.
    package static let currentVersion: UInt32 = 1
    package static let size = FormatLimits.pageSize

    package var version: UInt32
    /// Incompatible features, one bit each; none are known.
    package var features: UInt32
    package var logID: LogID
    /// Bytes of log in a segment; 0 for a log that is one growing file.
    package var segmentSize: UInt64
    /// When the log was created, in nanoseconds since 1970.
    package var created: UInt64

    package init(
        version: UInt32 = IdentityPage.currentVersion, features: UInt32 = 0, logID: LogID, segmentSize: UInt64,
        created: UInt64
    ) {
        self.version = version
        self.features = features
        self.logID = logID
        self.segmentSize = segmentSize
        self.created = created
    }

    /// The 4096 bytes of the page.
    package func encode() -> [UInt8] {
        precondition(segmentSize == 0 || FormatLimits.isSegmentSize(segmentSize), "segment size \(segmentSize)")
        var writer = ByteWriter(count: IdentityPage.size)
        writer.put(magic: "WALSHIPC", at: 0)
        writer.put(version, at: 8)
        writer.put(features, at: 12)
        writer.put(logID, at: 16)
        writer.put(segmentSize, at: 32)
        writer.put(created, at: 40)
        writer.putChecksum(at: 4092)
        return writer.bytes
    }

    /// Reads the 4096 bytes of the page. An intact page of another version, or with feature bits, is `.unsupported`.
    package static func decode(_ bytes: [UInt8]) throws(FormatError) -> IdentityPage {
        let reader = ByteReader("control identity", bytes)
        try reader.requireMagic("WALSHIPC")
        try reader.requireCount(size)
        try reader.requireChecksum(at: 4092)
        let version = try reader.u32("version", at: 8)
        let features = try reader.u32("feature flags", at: 12)
        guard version == currentVersion, features == 0 else {
            throw reader.unsupported(
                "version and feature flags", at: 8, found: "\(version) and 0x\(String(features, radix: 16))",
                expected: "\(currentVersion) and 0x0; a newer walship wrote this log")
        }
        let segmentSize = try reader.u64("segment size", at: 32)
        guard segmentSize == 0 || FormatLimits.isSegmentSize(segmentSize) else {
            throw reader.invalid(
                "segment size", at: 32, found: segmentSize, expected: "0, or a multiple of 4096 from 4096 to 1073741824")
        }
        return IdentityPage(
            version: version, features: features, logID: try reader.logID(at: 16), segmentSize: segmentSize,
            created: try reader.u64("creation time", at: 40))
    }
}
