internal import CCurl
internal import Glibc

/// The error document of an S3 reply, as far as it says something: `<Error><Code>…</Code><Message>…</Message>…</Error>`.
struct S3ErrorDocument: Sendable {
    /// S3's own word for what is wrong; empty where the reply has no such document.
    private(set) var code = ""
    private(set) var message = ""
    /// Where the bucket really is, when the signature was made for another region.
    private(set) var region: String?

    /// Never throws: what cannot be read says nothing, and the status must do.
    init(_ response: HTTPResponse) {
        region = response.header("x-amz-bucket-region").map { S3ErrorDocument.printable($0) }
        guard let root = S3ErrorDocument.root(response.body), root.name == "Error" else { return }
        code = S3ErrorDocument.printable(root.text(of: "Code") ?? "")
        message = S3ErrorDocument.printable(root.text(of: "Message") ?? "")
        region = root.text(of: "Region").map { S3ErrorDocument.printable($0) } ?? region
    }

    private static func root(_ body: [UInt8]) -> XMLElement? {
        // A page of a listing is no error, and dear to read.
        guard !body.isEmpty, body.count <= HTTPLimits.errorBodyMax else { return nil }
        do throws(XMLFault) {
            return try XMLElement(document: body)
        } catch {
            return nil
        }
    }

    /// On one line, without control characters, not without end.
    private static func printable(_ text: String) -> String {
        let words = text.unicodeScalars.split { $0.value < 0x20 || $0.value == 0x7F }.map { String(String.UnicodeScalarView($0)) }
        return String(words.joined(separator: " ").prefix(S3Limits.messageMax))
    }
}

/// What an S3 reply means for us: the one place where S3's codes become errors.
enum S3Failure {
    /// `now` in seconds since 1970, on our clock.
    static func error(_ response: HTTPResponse, to request: HTTPRequest, key: ObjectKey?, place: S3Place, now: Int) -> ArchiveError {
        let document = S3ErrorDocument(response)
        var error = HTTPStatus.error(response, to: request, key: key)
        if !document.code.isEmpty { error.message += ": \(document.code)\(document.message.isEmpty ? "" : ", \(document.message)")" }
        switch document.code {
        case "NoSuchBucket":
            // Not "nothing is there": nobody knows what would be.
            set(&error, .refused(status: response.status), "there is no bucket \(place.bucket) at this endpoint: create it, or correct the URL")
        case "NoSuchKey" where !request.method.mutates: break
        case "AccessDenied":
            set(
                &error, .unauthorized(status: response.status),
                "allow these keys s3:GetObject, s3:PutObject and s3:DeleteObject below the prefix, and s3:ListBucket on \(place.bucket): without the last, AWS says this of keys that are not there"
            )
        case "SignatureDoesNotMatch":
            set(&error, .unauthorized(status: response.status), "check the secret access key and the region; a proxy that changes requests breaks signatures too")
        case "InvalidAccessKeyId": set(&error, .unauthorized(status: response.status), "the server does not know this access key: check it, and the endpoint")
        case "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
            set(&error, .unauthorized(status: response.status), "put new temporary credentials where the old ones are; they are read again at the next attempt")
        case "RequestTimeTooSkewed", "RequestExpired":
            set(&error, .unauthorized(status: response.status), "set the clock: \(skew(response, now))")
        case "AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException":
            set(&error, .refused(status: response.status), "set the region\(document.region.map { " to \($0)" } ?? "") and the endpoint to the bucket's own")
        case "EntityTooLarge", "MaxMessageLengthExceeded": set(&error, .tooLarge, "use smaller segments, or raise the server's limit on objects")
        case "QuotaExceeded", "XMinioStorageFull", "InsufficientStorage": set(&error, .outOfSpace, "free space at the archive's server, or raise the quota")
        case "SlowDown", "ServiceUnavailable", "TooManyRequests", "Throttling", "ThrottlingException", "RequestLimitExceeded":
            set(&error, .busy(status: response.status), "the server asks for fewer requests")
        case "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "IncompleteBody":
            set(&error, .busy(status: response.status), "the bytes were changed on the way")
        case "RequestTimeout":
            // Servers are known that keep the object all the same.
            set(&error, .busy(status: response.status), nil)
            if request.method.mutates { error.outcome = .unknown }
        case "InternalError":
            set(&error, .busy(status: response.status), nil)
            if request.method.mutates { error.outcome = .unknown }
        case "ConditionalRequestConflict", "OperationAborted": set(&error, .busy(status: response.status), nil)
        case "InvalidObjectState": set(&error, .refused(status: response.status), "the object is in a cold storage class: bring it back first")
        case "ObjectLocked", "InvalidRetentionPeriod": set(&error, .refused(status: response.status), "the object is locked")
        default: break
        }
        return error
    }

    /// Whether fresh credentials may change the answer. A reply to a HEAD has no body, so any 400 may be an expired token.
    static func refusesCredentials(_ response: HTTPResponse, to request: HTTPRequest) -> Bool {
        switch response.status {
        case 401, 403: return true
        case 400 where request.method == .head: return true
        case 400: return ["ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId"].contains(S3ErrorDocument(response).code)
        default: return false
        }
    }

    /// A success whose body is an error document: S3 begins to answer before it knows.
    static func isHidden(in response: HTTPResponse) -> Bool { response.isSuccess && !S3ErrorDocument(response).code.isEmpty }

    private static func set(_ error: inout ArchiveError, _ code: ArchiveError.Code, _ hint: String?) {
        error.code = code
        error.hint = hint
    }

    private static func skew(_ response: HTTPResponse, _ now: Int) -> String {
        // curl_getdate(3): -1 where it cannot read the date.
        let theirs = response.header("date").map { unsafe Int(curl_getdate($0, nil)) } ?? -1
        guard theirs >= 0 else { return "this machine's differs from the server's" }
        return "this machine's is \(abs(now - theirs)) s \(now < theirs ? "behind" : "ahead of") the server's"
    }
}
