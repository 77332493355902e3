import Glibc

/// A real Apache on a free port of 127.0.0.1, with a directory of its own: with WebDAV, or as a forward proxy. Ends with the object.
package final class ApacheServer: Sendable {
    package enum Role: Sendable {
        case webDAV
        /// For http, and by CONNECT to these ports; for `user` alone where it wants one.
        case proxy(connectTo: [UInt16], wantsUser: Bool)
    }

    /// Whom a proxy that wants a user knows.
    package static let user = (name: "anna", password: "through the proxy")
    /// `openssl passwd -apr1 -salt walship1 'through the proxy'`
    static let passwordHash = "$apr1$walship1$m0my/2SxMHRH1kanfKifK0"

    package let port: UInt16
    package var url: String { "http://127.0.0.1:\(port)" }
    /// Where objects lie as files.
    package let root: String
    package let process: ChildProcess
    private let directory: ServerDirectory

    package static func start(_ role: Role = .webDAV) async throws -> ApacheServer {
        try await startOnFreePort {
            try ApacheServer(role, port: $0)
        } ready: {
            try await waitForPort($0.port, of: $0.process)
        }
    }

    static let modules = "/usr/lib/apache2/modules"

    private init(_ role: Role, port: UInt16) throws {
        let apache = try InstalledServer.debian("apache2", package: "apache2-bin", needs: ["\(Self.modules)/mod_dav_fs.so"])
        directory = try ServerDirectory("apache")
        self.port = port
        root = try directory.makeDirectory("files")
        let path = directory.path
        let locks = try directory.makeDirectory("locks")
        // Started by root it becomes somebody else, as it does everywhere: its directories are theirs then.
        for place in [root, locks] { try ServerAccount.own(place) }
        chmod(path, 0o711)
        let (modules, lines) = try Self.lines(role, root: root, locks: locks, in: directory)
        let loading = (["mpm_event", "authn_core", "authz_core"] + modules).map { "LoadModule \($0)_module \(Self.modules)/mod_\($0).so" }
        let configuration = try directory.write(
            "apache.conf",
            """
            \(loading.joined(separator: "\n"))
            ServerName 127.0.0.1
            Listen 127.0.0.1:\(port)
            User \(ServerAccount.name)
            Group \(ServerAccount.name)
            PidFile \(path)/pid
            DefaultRuntimeDir \(path)
            ErrorLog \(path)/error.log
            DocumentRoot \(root)
            StartServers 1
            \(lines)

            """)
        // One process: the number that a test kills is all there is.
        process = try ChildProcess(apache, ["-X", "-f", configuration], in: path)
    }

    private static func lines(_ role: Role, root: String, locks: String, in directory: ServerDirectory) throws -> (modules: [String], String) {
        switch role {
        case .webDAV:
            return (
                ["dav", "dav_fs"],
                """
                DavLockDB \(locks)/database
                <Directory \(root)>
                  Dav On
                  Require all granted
                </Directory>
                """
            )
        case .proxy(let ports, let wantsUser):
            var modules = ["proxy", "proxy_http", "proxy_connect"]
            var access = "Require all granted"
            if wantsUser {
                modules += ["auth_basic", "authn_file", "authz_user"]
                let file = try directory.write("users", "\(user.name):\(passwordHash)\n")
                access = "AuthType Basic\nAuthName proxy\nAuthBasicProvider file\nAuthUserFile \(file)\nRequire valid-user"
            }
            return (
                modules,
                """
                ProxyRequests On
                AllowCONNECT \(ports.map { "\($0)" }.joined(separator: " "))
                <Proxy "*">
                  \(access)
                </Proxy>
                """
            )
        }
    }

    package func stop() { process.kill() }
}
