/// Every limit of the way back, with its unit and its reason. Relations between them are tested.
public enum RestoreLimits {
    /// Objects that are downloaded at one time: enough that one is decompressed while the next ones come in, and that a distant store's answers overlap.
    public static let downloads = 4
    /// More would only wait for one another.
    public static let downloadsMax = 64
    /// Bytes of log that are under way at one time, decompressed; one object is, whatever its size. As many bytes again may be held compressed.
    public static let downloadBytesMax: UInt64 = 256 << 20
    /// Objects of an archive that are asked for their times while one time is looked for, beside those that the search itself needs: a clock that was set
    /// back shows itself only where somebody looks.
    public static let timeProbesMax = 64
    /// How often a restore begins again because another writer took over while it ran: promotions are rare, and an archive in which they are not is in trouble.
    public static let promotionsMax = 8
}
