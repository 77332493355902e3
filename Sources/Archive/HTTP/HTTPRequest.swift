/// One request as a value. The engine adds the user agent, the settings' extra headers and the credentials.
package struct HTTPRequest: Sendable {
    package enum Method: String, Sendable {
        case get = "GET"
        case head = "HEAD"
        case put = "PUT"
        case delete = "DELETE"
        case mkcol = "MKCOL"
        case move = "MOVE"
        case propfind = "PROPFIND"

        /// Whether the server's state may be different afterwards: a lost reply then means "unknown", not "not done".
        package var mutates: Bool {
            switch self {
            case .put, .delete, .mkcol, .move: true
            case .get, .head, .propfind: false
            }
        }
    }

    package var method: Method
    /// Complete, with a fixed query if there is one, never with user information.
    package var url: String
    package var headers: [HTTPHeader] = []
    /// Sent with a Content-Length, never chunked. nil sends no body and no length.
    package var body: [UInt8]?
    package var credentials: Credentials?
    /// Bytes of a reply's body taken into memory; one byte more is an error. The body of a reply that is no success (a
    /// status below 200 or from 300 on) is cut at `HTTPLimits.errorBodyMax` instead.
    package var responseLimit = HTTPLimits.errorBodyMax
    /// Of a 200's body only these bytes are kept (and counted against the limit); all are received.
    package var window: Range<UInt64>?
    /// Whether libcurl may send the request once more by itself when a reused connection turns out dead before any reply.
    /// Off where a second sending would find what the first one made and take it for a rival's.
    package var mayResend = true
    /// From submission to the last byte of the reply, in place of the settings' `requestTimeout`.
    package var timeout: Duration?
    /// Closes the connection after so many bytes of the body: the probe's way to find out what a cut upload leaves.
    package var cutBodyAfter: Int?

    package init(_ method: Method, _ url: String) {
        self.method = method
        self.url = url
    }
}

package struct HTTPHeader: Hashable, Sendable {
    package var name: String
    package var value: String
    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}
