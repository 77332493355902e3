/// How to talk to an HTTP store: deadlines, identity, ways round the network. Prints without anything that could be secret.
public struct HTTPSettings: Sendable {
    /// Name resolution, TCP and TLS together.
    public var connectTimeout: Duration = .seconds(10)
    /// A transfer that moves fewer than `stallBytesPerSecond` for this long is cut, also while the reply is waited for.
    /// Whole seconds, at least one.
    public var stallTimeout: Duration = .seconds(30)
    /// An idle connection is used again for this long, in whole seconds. Servers close theirs after 5 s and more (lighttpd and Apache 5, nginx 75),
    /// and a conditional create that meets such a closing is not sent again by itself.
    public var idleConnectionAgeMax: Duration = .seconds(3)
    /// Bytes per second in both directions together.
    public var stallBytesPerSecond = 1
    /// One request from submission to the last byte of its reply, time in the queue included. The stall limit is what ends a hung
    /// transfer; this bounds a slow one.
    public var requestTimeout: Duration = .seconds(600)
    /// Transfers at one time, each on a connection of its own (HTTP/1.1); further ones queue.
    public var transfersMax = 8
    /// Bytes per second that request bodies may take together, however many are under way; nil: no limit.
    public var sendBytesPerSecondMax: Int?
    /// The probe leaves the small objects that it makes where they are, and asks nothing that needs a deletion or a move: for stores that keep everything.
    public var keepsProbes = false
    public var userAgent = "walship"
    /// URL of a proxy. nil: as the environment says (`http_proxy`, `https_proxy`, `no_proxy`); empty: none.
    public var proxy: String?
    /// PEM file of the authorities to believe, in place of the system's.
    public var caFile: String?
    /// PEM files of our own certificate and its key.
    public var clientCertificateFile: String?
    public var clientKeyFile: String?
    /// Sent with each request, for instance a tenant or a storage class.
    public var extraHeaders: [(name: String, value: String)] = []
    /// Appended to each URL behind a `?`, for instance a signed token; without the `?`.
    public var fixedQuery: String?
    /// HTTP/2 where a TLS server offers it. Off by default: uploads are few and large, and on one shared connection they wait for each other.
    public var http2 = false
    /// Where credentials come from. Asked before the first request and again after a 401 or 403, so that a secret that was
    /// changed in its file is taken up without a restart. Must not block for long.
    public var credentials: (@Sendable () -> Credentials?)?

    public init() {}
}

extension HTTPSettings: CustomStringConvertible, CustomReflectable {
    public var description: String {
        "connect \(connectTimeout), stall \(stallTimeout) below \(stallBytesPerSecond) B/s, request \(requestTimeout), "
            + "\(transfersMax) at a time, HTTP/2 \(http2 ? "on" : "off"), proxy \(proxy == nil ? "as the environment says" : "set"), "
            + "\(extraHeaders.count) extra headers, credentials \(credentials == nil ? "none" : "set")"
    }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension HTTPSettings {
    /// Throws `.invalid` for what libcurl would refuse later or, worse, send: a line break in a header smuggles in another one.
    package func validate() throws(ArchiveError) {
        func refuse(_ what: String, _ hint: String) -> ArchiveError { ArchiveError(.invalid, what, hint: hint) }
        for (what, value) in [("connect", connectTimeout), ("stall", stallTimeout), ("request", requestTimeout)] {
            guard value >= .milliseconds(1), value <= .seconds(7 * 86_400) else {
                throw refuse("the \(what) timeout is \(value)", "set it between 1 ms and 7 days")
            }
        }
        guard (1...256).contains(transfersMax) else {
            throw refuse("\(transfersMax) transfers at a time", "set it between 1 and 256")
        }
        guard (1...(1 << 30)).contains(stallBytesPerSecond) else {
            throw refuse("the stall limit is \(stallBytesPerSecond) bytes per second", "set it between 1 and 1 GiB")
        }
        guard sendBytesPerSecondMax.map({ (HTTPLimits.sendRateMin...(1 << 40)).contains($0) }) ?? true else {
            throw refuse("the bandwidth limit is \(sendBytesPerSecondMax ?? 0) bytes per second", "set it to at least \(HTTPLimits.sendRateMin), or not at all")
        }
        for (name, value) in extraHeaders + [("User-Agent", userAgent)] {
            guard !name.isEmpty, name.utf8.allSatisfy(HTTPSettings.isTokenByte) else {
                throw refuse("an extra header has the name \"\(name)\"", "use letters, digits and hyphens")
            }
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }), !value.isEmpty else {
                throw refuse("the extra header \(name) has an empty value or a control character in it", "remove it")
            }
        }
        if let fixedQuery {
            guard !fixedQuery.isEmpty, !fixedQuery.hasPrefix("?"),
                fixedQuery.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") })
            else {
                throw refuse(
                    "the fixed query is empty, begins with ? or has a character that must be percent-encoded",
                    "write it as it shall stand behind the ? of each URL")
            }
        }
        guard clientKeyFile == nil || clientCertificateFile != nil else {
            throw refuse("a client key is set without a client certificate", "set both")
        }
    }

    /// RFC 9110 section 5.6.2.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."): true
        default: false
        }
    }
}

extension HTTPSettings {
    /// A limited upload that has its share of the rate does not stand still: with every transfer at work each has this much, halved because turns are not even.
    var stallBytesPerSecondInUse: Int {
        guard let rate = sendBytesPerSecondMax else { return stallBytesPerSecond }
        return max(1, min(stallBytesPerSecond, rate / transfersMax / 2))
    }

    /// How long a request may take: a body at a limited rate is given the time that it needs when every other transfer has one of its size.
    func requestTime(ofBody count: Int) -> Duration {
        guard let rate = sendBytesPerSecondMax else { return requestTimeout }
        return requestTimeout + .seconds(Double(count) * Double(transfersMax) / Double(rate))
    }
}
