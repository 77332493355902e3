import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import WAL

/// Turns requests into calls on the tree and their results into responses. Holds no state of its own.
struct ArchiveResponder: HTTPResponder {
    let tree: ObjectTree
    let pool: BlockingPool
    let objectSizeMax: UInt64

    /// What is known of a connection: nothing is needed.
    struct Context: InitializableFromSource {
        let logger: Logger
        init(source: ApplicationRequestContextSource) { logger = source.logger }
    }

    /// An object is read and sent in pieces of this many bytes, so that memory does not grow with it.
    private static let readPiece = 256 << 10

    func respond(to request: Request, context: Context) async throws -> Response {
        var response: Response
        do {
            response = try await answer(request)
        } catch let error as ServeError {
            response = Self.text(error.status, error.message)
            // What is left of a body would have to be read before the next request.
            if request.method == .put { response.headers[.connection] = "close" }
            if error.status == .methodNotAllowed { response.headers[.allow] = Self.allowed }
        }
        context.logger.debug(
            "request",
            metadata: [
                "method": "\(request.method)", "path": "\(request.uri.path)", "status": "\(response.status.code)",
            ])
        return response
    }

    private static let allowed = "OPTIONS, GET, HEAD, PUT, DELETE, MKCOL, PROPFIND"

    private func answer(_ request: Request) async throws -> Response {
        let path = try ObjectPath(requestPath: request.uri.path)
        switch request.method.rawValue {
        case "GET": return try await get(path, request)
        case "HEAD": return try await head(path)
        case "PUT": return try await put(path, request)
        case "DELETE":
            if path.isRoot { throw ServeError(.forbidden, "the root stays") }
            try await pool.run { try tree.delete(path) }
            return Response(status: .noContent)
        case "MKCOL":
            if Self.announcesBody(request) { throw ServeError(.unsupportedMediaType, "MKCOL takes no body") }
            if path.isRoot { throw ServeError(.methodNotAllowed, "something is already there") }
            try await pool.run { try tree.makeCollection(path) }
            return Response(status: .created)
        case "PROPFIND": return try await list(path, request)
        case "OPTIONS":
            return Response(status: .ok, headers: [.allow: Self.allowed, Self.dav: "1"])
        default:
            throw ServeError(.methodNotAllowed, "the method is not supported")
        }
    }

    // MARK: Reading

    private func head(_ path: ObjectPath) async throws -> Response {
        let object = try Self.object(path)
        switch try await pool.run({ try tree.look(object) }) {
        case .nothing: throw ServeError.notFound
        case .collection: throw ServeError(.methodNotAllowed, "a collection is there; PROPFIND lists it")
        case .object(let size):
            return Response(status: .ok, headers: Self.objectHeaders(length: size))
        }
    }

    private func get(_ path: ObjectPath, _ request: Request) async throws -> Response {
        let name = try Self.object(path)
        let object = try await pool.run { try tree.open(name) }
        // Without entity tags no If-Range can match: the whole object is the answer (RFC 9110 §13.1.5).
        let field = request.headers[.ifRange] == nil ? request.headers[.range] : nil
        switch ByteRange(field: field, size: object.size) {
        case .whole:
            return Response(
                status: .ok, headers: Self.objectHeaders(length: object.size), body: body(of: object, 0..<object.size))
        case .part(let range):
            var headers = Self.objectHeaders(length: UInt64(range.count))
            headers[.contentRange] = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(object.size)"
            return Response(status: .partialContent, headers: headers, body: body(of: object, range))
        case .unsatisfiable:
            object.file.close()
            var response = Self.text(.rangeNotSatisfiable, "the object has \(object.size) bytes")
            response.headers[.contentRange] = "bytes */\(object.size)"
            return response
        }
    }

    private func body(of object: OpenObject, _ range: Range<UInt64>) -> ResponseBody {
        let pool = pool
        return ResponseBody(contentLength: range.count) { writer in
            defer { object.file.close() }
            var offset = range.lowerBound
            while offset < range.upperBound {
                let position = offset
                let count = Int(min(UInt64(Self.readPiece), range.upperBound - position))
                let piece = try await pool.run { ByteBuffer(bytes: try object.file.bytes(at: position, count: count)) }
                // Shorter than promised: somebody cut the file. Throwing closes the connection, so the client notices.
                guard piece.readableBytes == count else {
                    throw ServeError(.internalServerError, "the object became shorter while it was sent")
                }
                try await writer.write(piece)
                offset += UInt64(count)
            }
            try await writer.finish(nil)
        }
    }

    private func list(_ path: ObjectPath, _ request: Request) async throws -> Response {
        let depth = request.headers[Self.depth]
        guard depth == "0" || depth == "1" else {
            throw ServeError(.forbidden, "PROPFIND needs Depth: 0 or Depth: 1")
        }
        let found = try await pool.run { try tree.look(path) }
        if case .nothing = found { throw ServeError.notFound }
        if case .object = found, path.endsWithSlash { throw ServeError.notFound }
        let entries = depth == "1" && found == .collection ? try await pool.run { try tree.list(path) } : []
        let body = ResponseBody { writer in
            try await writer.write(ByteBuffer(string: MultiStatus.begin + MultiStatus.response(path, found)))
            var start = entries.startIndex
            while start < entries.endIndex {
                // 500 entries are about 100 KiB of text.
                let end = min(start + 500, entries.endIndex)
                let text = entries[start..<end].map { MultiStatus.response($0.name, in: path, $0.found) }.joined()
                try await writer.write(ByteBuffer(string: text))
                start = end
            }
            try await writer.write(ByteBuffer(string: MultiStatus.end))
            try await writer.finish(nil)
        }
        return Response(status: .multiStatus, headers: [.contentType: "application/xml; charset=utf-8"], body: body)
    }

    // MARK: Writing

    private func put(_ path: ObjectPath, _ request: Request) async throws -> Response {
        let target = try Self.object(path)
        let put = try PutRequest(request.headers, objectSizeMax: objectSizeMax)
        let tree = tree
        try await pool.run { try tree.foresee(putAt: target, if: put.precondition) }
        let upload = try await pool.run { try tree.beginUpload(verifying: put.md5 != nil) }
        do {
            try await receive(request.body, into: upload, put)
            let replaced = try await pool.run {
                let md5 = try tree.call { () throws(WALError) in try upload.finish() }
                guard md5 == put.md5 else {
                    throw ServeError(.badRequest, "the body does not have the MD5 that Content-MD5 says")
                }
                return try tree.publish(upload, at: target, if: put.precondition)
            }
            return Response(status: replaced ? .noContent : .created)
        } catch {
            try await pool.run { tree.discard(upload) }
            throw error
        }
    }

    private func receive(_ body: RequestBody, into upload: Upload, _ put: PutRequest) async throws {
        let tree = tree
        var received: UInt64 = 0
        for try await buffer in body {
            received += UInt64(buffer.readableBytes)
            guard received <= objectSizeMax else { throw ServeError.tooLarge(objectSizeMax) }
            try await pool.run { try tree.call { () throws(WALError) in try upload.append(buffer) } }
        }
        // A connection that broke, or that the server cut when it had to end, may end the body like one that is complete. Bodies
        // without a length are only told apart by the parser's error and by the cancellation.
        try Task.checkCancellation()
        if let length = put.length, received != length {
            throw ServeError(.badRequest, "the body has \(received) bytes, not the \(length) that Content-Length says")
        }
    }

    // MARK: Small parts

    private static let dav = HTTPField.Name("DAV")!
    private static let depth = HTTPField.Name("Depth")!

    /// The path of an object: not the root, no slash at the end.
    private static func object(_ path: ObjectPath) throws(ServeError) -> ObjectPath {
        guard !path.isRoot, !path.endsWithSlash else {
            throw ServeError(.methodNotAllowed, "the path is a collection's; an object's does not end with /")
        }
        return path
    }

    private static func announcesBody(_ request: Request) -> Bool {
        if request.headers[.transferEncoding] != nil { return true }
        return request.headers[.contentLength].map { $0 != "0" } ?? false
    }

    private static func objectHeaders(length: UInt64) -> HTTPFields {
        [.contentLength: String(length), .contentType: "application/octet-stream", .acceptRanges: "bytes"]
    }

    private static func text(_ status: HTTPResponse.Status, _ message: String) -> Response {
        Response(
            status: status, headers: [.contentType: "text/plain; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: message + "\n")))
    }
}
