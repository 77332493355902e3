import HTTPTypes
import WAL

/// A request that the archive server refuses: status and one line of text.
struct ServeError: Error, Equatable {
    var status: HTTPResponse.Status
    var message: String

    init(_ status: HTTPResponse.Status, _ message: String) {
        self.status = status
        self.message = message
    }

    /// What a failed system call means to the client. Paths of the server's machine stay in its log.
    init(_ error: WALError) {
        switch error {
        case .noSpace:
            self.init(.insufficientStorage, "no space left; free some and send it again")
        case .io(let operation, _, let errno):
            self.init(.internalServerError, "\(operation) failed: \(ErrorText.describe(errno: errno))")
        default:
            self.init(.internalServerError, "the server's file system failed")
        }
    }
}

extension HTTPResponse.Status {
    /// RFC 4918 §11.5.
    static let insufficientStorage = HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage")
    /// RFC 4918 §11.1.
    static let multiStatus = HTTPResponse.Status(code: 207, reasonPhrase: "Multi-Status")
}
