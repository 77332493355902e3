internal import Crypto

/// What `--archive` says: `<base>/<log name>`, as `http(s)://host[:port]/…/name`, `s3://bucket/…/name` or `file:///…/name`. Never with credentials.
public struct ArchiveURL: Hashable, Sendable {
    /// Where the log's archive lies beside those of others.
    public let store: StoreURL
    public let logName: LogName

    public init(store: StoreURL, logName: LogName) {
        self.store = store
        self.logName = logName
    }

    /// Throws `.invalid` (what is wrong, and what to write instead) or `.unsupported`. No message repeats credentials.
    public init(_ argument: String) throws(ArchiveError) {
        // Judged as a whole first, so that what is wrong is named as it was written.
        let whole = try StoreURL(argument)
        guard let slash = whole.text.lastIndex(of: "/"), !whole.text[..<slash].hasSuffix(":/"), whole.text[..<slash] != "file:/" else {
            throw ArchiveError(
                .invalid, "the archive URL \(whole.text) has no log name",
                hint: "write <base>/<log name>, like http://127.0.0.1:9180/archive/orders")
        }
        let last = String(whole.text[whole.text.index(after: slash)...])
        guard let logName = LogName(last) else {
            throw ArchiveError(
                .invalid, "\"\(last)\" in the archive URL \(whole.text) is not a log name",
                hint: "a log name has 1 to 100 letters, digits, dots, _ and -, and begins with a letter or digit")
        }
        let base = whole.text[..<slash]
        self.init(store: try StoreURL(base == "file://" ? "file:///" : String(base)), logName: logName)
    }

    public typealias Base = StoreURL.Place
    public var base: Base { store.place }

    /// The whole URL: what may be printed.
    public var text: String { "\(store.text)/\(logName)" }

    /// The slot's name where the configuration gives none: `d-` and the first 16 hex digits of SHA-256 of the address. That is `text`; for a
    /// bucket at an `endpoint` (`http(s)://host[:port]`) of its own, the endpoint is part of it, because a bucket of the same name elsewhere is another.
    public func slotName(endpoint: String? = nil) -> String {
        let address = "\(store.identity(endpoint: endpoint))/\(logName)"
        let digits = SHA256.hash(data: Array(address.utf8)).prefix(8).map { byte in
            String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }
        return "d-" + digits.joined()
    }
}

extension ArchiveURL: CustomStringConvertible {
    public var description: String { text }
}
