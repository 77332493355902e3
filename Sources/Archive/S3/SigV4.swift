internal import Crypto
internal import FoundationEssentials

/// AWS Signature Version 4 in the Authorization header, as the IAM and S3 documentation describe it ("Create a signed AWS API request",
/// "Signature calculations for the Authorization header: transferring payload in a single chunk"). A value without clock or network.
///
/// S3's rule for paths: encoded once, and never normalised.
struct SigV4: Sendable {
    var region: String
    var service = "s3"

    /// What is signed. Path and query are encoded already, exactly as they are sent: `encode` and `query` make them.
    struct Request: Sendable {
        var method: String
        /// From the first slash on.
        var path: String
        /// Without the question mark, sorted.
        var query: String
        /// `host` among them. All are signed.
        var headers: [(name: String, value: String)]
        /// The payload's SHA-256 in lower-case hex, or `unsignedPayload`.
        var payloadHash: String
    }

    static let unsignedPayload = "UNSIGNED-PAYLOAD"
    private static let algorithm = "AWS4-HMAC-SHA256"

    /// The value of the Authorization header. `timestamp` is that of the `x-amz-date` header.
    func authorization(_ request: Request, _ credentials: S3Credentials, timestamp: String) -> String {
        let (canonical, signedHeaders) = SigV4.canonical(request)
        let signature = signature(of: stringToSign(canonical, timestamp), secret: credentials.secretAccessKey, timestamp)
        return "\(SigV4.algorithm) Credential=\(credentials.accessKeyID)/\(scope(timestamp)), SignedHeaders=\(signedHeaders), Signature=\(signature)"
    }

    /// The canonical request, and the names of the headers in it.
    static func canonical(_ request: Request) -> (text: String, signedHeaders: String) {
        var values: [String: [String]] = [:]
        for header in request.headers { values[header.name.lowercased(), default: []].append(collapsed(header.value)) }
        let names = values.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        var text = "\(request.method)\n\(request.path)\n\(request.query)\n"
        for name in names { text += "\(name):\(values[name, default: []].joined(separator: ","))\n" }
        let signedHeaders = names.joined(separator: ";")
        text += "\n\(signedHeaders)\n\(request.payloadHash)"
        return (text, signedHeaders)
    }

    func stringToSign(_ canonicalRequest: String, _ timestamp: String) -> String {
        "\(SigV4.algorithm)\n\(timestamp)\n\(scope(timestamp))\n\(SigV4.sha256(Array(canonicalRequest.utf8)))"
    }

    private func scope(_ timestamp: String) -> String { "\(timestamp.prefix(8))/\(region)/\(service)/aws4_request" }

    private func signature(of text: String, secret: String, _ timestamp: String) -> String {
        var key = SymmetricKey(data: Array("AWS4\(secret)".utf8))
        for part in [String(timestamp.prefix(8)), region, service, "aws4_request"] {
            key = SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: Array(part.utf8), using: key))
        }
        return SigV4.hex(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key))
    }

    // MARK: Text

    /// Leading and trailing blanks away, and runs of them made one.
    private static func collapsed(_ value: String) -> String {
        value.split { $0 == " " || $0 == "\t" }.joined(separator: " ")
    }

    /// Everything but `A-Z a-z 0-9 - . _ ~` as `%` and two upper-case hex digits of each byte of its UTF-8.
    static func encode(_ text: String, keepingSlashes: Bool) -> String {
        var encoded = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            case UInt8(ascii: "/") where keepingSlashes: encoded += "/"
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                encoded += byte < 16 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return encoded
    }

    /// A query encoded and sorted by name, then by value; `name=` where the value is empty.
    static func query(_ items: [(name: String, value: String)]) -> String {
        items.map { (encode($0.name, keepingSlashes: false), encode($0.value, keepingSlashes: false)) }
            .sorted { $0.0 == $1.0 ? $0.1.utf8.lexicographicallyPrecedes($1.1.utf8) : $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
            .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }

    static func sha256(_ bytes: [UInt8]) -> String { hex(SHA256.hash(data: bytes)) }

    private static func hex(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// `20150830T123600Z`, from seconds since 1970 in UTC.
    static func timestamp(_ seconds: Int) -> String {
        precondition(seconds >= 0, "a clock before 1970")
        let (days, rest) = seconds.quotientAndRemainder(dividingBy: 86_400)
        // The civil calendar from days (proleptic Gregorian): eras of 400 years, years that begin in March.
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let march = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * march + 2) / 5 + 1
        let month = march < 10 ? march + 3 : march - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func digits(_ value: Int, _ count: Int) -> String { Layout.padded(UInt64(value), digits: count) }
        return digits(year, 4) + digits(month, 2) + digits(day, 2) + "T" + digits(rest / 3600, 2) + digits(rest / 60 % 60, 2)
            + digits(rest % 60, 2) + "Z"
    }
}
