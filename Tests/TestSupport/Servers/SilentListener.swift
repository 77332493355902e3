import Glibc

/// A port of 127.0.0.1 that accepts connections, as far as the kernel does that alone, and never answers.
package final class SilentListener: Sendable {
    package let port: UInt16
    private let descriptor: Int32

    package init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ServerError("socket failed: errno \(errno)") }
        do {
            port = try Ports.bind(descriptor)
            guard listen(descriptor, 64) == 0 else { throw ServerError("listen failed: errno \(errno)") }
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        self.descriptor = descriptor
    }

    package func close() { Glibc.close(descriptor) }
}
