import Glibc

/// TCP ports on 127.0.0.1.
package enum Ports {
    /// One that nobody listens on now. Somebody else may take it before it is used: a server that cannot bind is tried again with another.
    package static func free() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ServerError("socket failed: errno \(errno)") }
        defer { close(descriptor) }
        return try bind(descriptor)
    }

    /// Binds to a port that the system chooses and returns it.
    static func bind(_ descriptor: Int32) throws -> UInt16 {
        var address = loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                guard Glibc.bind(descriptor, generic, length) == 0 else { return errno }
                return getsockname(descriptor, generic, &length) == 0 ? 0 : errno
            }
        }
        guard code == 0 else { throw ServerError("bind to 127.0.0.1 failed: errno \(code)") }
        return UInt16(bigEndian: address.sin_port)
    }

    /// Whether somebody accepts connections there.
    package static func isOpen(_ port: UInt16) -> Bool {
        guard let descriptor = connect(port) else { return false }
        close(descriptor)
        return true
    }

    /// A connection to whoever listens there, which the caller closes; nil where nobody does.
    static func connect(_ port: UInt16) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        var address = loopback(port)
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else {
            close(descriptor)
            return nil
        }
        return descriptor
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}

/// Waits until somebody accepts connections on 127.0.0.1:`port`.
package func waitForPort(_ port: UInt16, of process: ChildProcess? = nil, within limit: Duration = .seconds(60)) async throws {
    try await waitUntil("somebody listens on port \(port); \(process?.tail ?? "")", within: limit) {
        if Ports.isOpen(port) { return true }
        if let process, let exit = process.exit {
            throw ServerError("the server ended (\(exit)) before it listened; \(process.tail)")
        }
        return false
    }
}

/// Starts a server on a free port, and on another one when somebody else took that port meanwhile.
func startOnFreePort<Server>(_ make: (UInt16) throws -> Server, ready: (Server) async throws -> Void) async throws -> Server {
    var attempt = 1
    while true {
        let server = try make(Ports.free())
        do {
            try await ready(server)
            return server
        } catch {
            if attempt == 3 { throw error }
            attempt += 1
        }
    }
}
