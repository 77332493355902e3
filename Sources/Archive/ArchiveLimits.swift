public import WAL

/// Every limit of the archive's formats, with its unit and its reason. Relations between them are tested.
public enum ArchiveLimits {
    /// Bytes of log that one object may hold: the largest segment a log can have (1 GiB). Bounds what a decoder allocates.
    public static let rawSizeMax: UInt64 = 1 << 30
    /// The smallest segment a log can have, in bytes; every segment size is a multiple of it.
    public static let segmentSizeMin: UInt64 = 4096
    /// Epochs in one object's metadata or in one start document. A log gains one at each promotion; the log's own table holds 128.
    public static let ancestryCountMax = 65_536
    /// Entries in one object's time index. The log makes at most one a second, so this is eighteen hours; a writer thins a longer one.
    public static let timeIndexCountMax = 65_536
    /// Bytes of one object: incompressible raw bytes with zstd's overhead (at most 1/256 and 1 KiB) and the largest metadata.
    public static let objectSizeMax = Int(rawSizeMax) + 16 * 1024 * 1024
    /// The highest level of tails; a reader looks from here down to 0, so raising it is a change of the format.
    public static let tailLevelMax = 3
    /// The highest epoch number: ten digits in names.
    public static let epochNumberMax: UInt64 = 9_999_999_999
    /// No log grows past this position, so sums of positions and lengths cannot overflow.
    public static let lsnMax = LSN(1 << 62)
    /// Bytes of a JSON document other than start.json. Ours have a few hundred.
    public static let documentSizeMax = 64 * 1024
    /// Bytes of start.json: it holds the ancestry, at most 200 bytes an epoch.
    public static let startDocumentSizeMax = 16 * 1024 * 1024
    /// Bytes of UTF-8 in a host name or a reason: they are printed for people.
    public static let textSizeMax = 1000
    /// How often something is read that fails its own checks before it is believed to be damaged where it lies: twice could be chance.
    package static let damagedReads = 3
    /// zstd's levels that need no more memory to decompress than the object itself; 20 and above are its "ultra" levels.
    public static let compressionLevels = 1...19
}
