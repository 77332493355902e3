import Archive

/// A log that is shipped: the directory it lies in and its name in every archive.
struct LogSettings: Hashable, Sendable {
    var path: String
    var name: LogName
}

/// Where logs are shipped to: a base below which each log has its archive, and the name of its slot in each log.
struct DestinationSettings: Hashable, Sendable {
    /// As configured; nil where the slot's name follows from the archive's address.
    var name: String?
    var base: StoreURL

    func archive(of log: LogSettings) -> ArchiveURL { base.archive(of: log.name) }

    func slotName(of log: LogSettings) -> String { name ?? archive(of: log).slotName }

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
