import Archive

/// A log that is shipped: the directory it lies in and its name in every archive.
struct LogSettings: Hashable, Sendable {
    var path: String
    var name: LogName
}

/// Where logs are shipped to, and how: a base below which each log has its archive, the name of its slot in each log, and every setting
/// as it holds for this destination. Resolved here and nowhere else.
struct DestinationSettings: Equatable, Sendable {
    /// As configured; nil where the slot's name follows from the archive's address.
    var name: String?
    var base: StoreURL
    var ship = ShipSettings()
    var retry = RetrySettings()
    var http = HTTPSettings()
    var s3 = S3Settings()
    var encryption = EncryptionSettings()

    /// With every setting at its default.
    init(name: String? = nil, base: StoreURL) {
        self.name = name
        self.base = base
    }

    init(name: String? = nil, base: StoreURL, from reader: SettingReader) throws(ConfigurationError) {
        self.init(name: name, base: base)
        ship = try ShipSettings(from: reader)
        retry = try RetrySettings(from: reader)
        http = try HTTPSettings(from: reader)
        s3 = try S3Settings(from: reader)
        encryption = try EncryptionSettings(from: reader)
        try encryption.requireCurrent(reader)
    }

    func archive(of log: LogSettings) -> ArchiveURL { base.archive(of: log.name) }

    func slotName(of log: LogSettings) -> String { name ?? archive(of: log).slotName(endpoint: s3.endpoint) }

    /// Two destinations with the same are one place. Buckets of one name at two endpoints are two places.
    var identity: String { base.identity(endpoint: s3.endpoint) }

    /// `[a-z0-9._-]{1,64}`, as slot names are.
    static func isValidName(_ name: String) -> Bool {
        1...64 ~= name.utf8.count && name != "." && name != ".."
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."),
                    UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}
