/// A complete reply.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var headers: [HTTPHeader]
    /// What was kept of the body: see `HTTPRequest.window` and `responseLimit`.
    package var body: [UInt8]
    /// All bytes of the body that were received, kept or not.
    package var bodyReceived: UInt64

    /// The value of the first header of that name, in whatever case the server wrote it.
    package func header(_ name: String) -> String? {
        let wanted = name.lowercased()
        return headers.first { $0.name.lowercased() == wanted }?.value
    }

    /// The size of the object that the reply is about; nil where the server does not say or says nonsense.
    package var contentLength: UInt64? { header("content-length").flatMap(HTTPText.number) }

    package var isSuccess: Bool { (200..<300).contains(status) }
}
