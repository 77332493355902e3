import Foundation
import Glibc

/// A real nginx with its WebDAV module on a free port of 127.0.0.1, which stores what it is sent below `root`. Ends with the object.
final class Nginx: Sendable {
    let url: String
    let root: String
    private let log: String
    private let process: Program
    var identifier: Int32 { process.identifier }

    /// `directory` is made, and holds everything.
    init(in directory: String) throws {
        root = "\(directory)/files"
        log = "\(directory)/access.log"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        let port = try Self.freePort()
        url = "http://127.0.0.1:\(port)"
        let configuration = """
            daemon off; master_process off; pid \(directory)/pid; error_log \(directory)/error.log warn;
            events { worker_connections 256; }
            http {
              log_format line '$request_method $uri $status'; access_log \(log) line;
              client_body_temp_path \(directory)/body; proxy_temp_path \(directory)/proxy; fastcgi_temp_path \(directory)/fastcgi;
              uwsgi_temp_path \(directory)/uwsgi; scgi_temp_path \(directory)/scgi;
              server {
                listen 127.0.0.1:\(port); root \(root); client_max_body_size 4g;
                location / { dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; dav_access user:rw; }
              }
            }
            """
        try Data(configuration.utf8).write(to: URL(filePath: "\(directory)/nginx.conf"))
        process = try Program(
            "nginx", ["-e", "\(directory)/error.log", "-p", directory, "-c", "\(directory)/nginx.conf"], errors: "\(directory)/said")
        try waitForPort(port)
    }

    /// Requests that were answered so far.
    func requests() throws -> Int {
        try String(contentsOfFile: log, encoding: .utf8).reduce(0) { $0 + ($1 == "\n" ? 1 : 0) }
    }

    private func waitForPort(_ port: UInt16) throws {
        for _ in 0..<500 {
            if Self.connects(port) { return }
            guard process.isRunning else { break }
            usleep(10_000)
        }
        throw BenchmarkError.notAsExpected("nginx did not start; `make deps` installs it")
    }

    private static func withSocket<T>(_ port: UInt16, _ body: (Int32, UnsafePointer<sockaddr>, socklen_t) throws -> T) throws -> T {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw BenchmarkError.system(call: "socket", path: "", errno: errno) }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return try withUnsafePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { try body(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }

    private static func connects(_ port: UInt16) -> Bool {
        (try? withSocket(port) { descriptor, address, count in connect(descriptor, address, count) == 0 }) ?? false
    }

    private static func freePort() throws -> UInt16 {
        try withSocket(0) { descriptor, address, count in
            guard bind(descriptor, address, count) == 0 else { throw BenchmarkError.system(call: "bind", path: "127.0.0.1", errno: errno) }
            var found = sockaddr_in()
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let code = withUnsafeMutablePointer(to: &found) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
            }
            guard code == 0 else { throw BenchmarkError.system(call: "getsockname", path: "", errno: errno) }
            return UInt16(bigEndian: found.sin_port)
        }
    }
}
