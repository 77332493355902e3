import Foundation

/// A real nginx with its WebDAV modules, on a free port of 127.0.0.1, with a directory of its own. Ends with the object.
package final class NginxServer: Sendable {
    package struct Options: Sendable {
        /// Whether PUT makes missing parents.
        package var createsParents = true
        /// `client_max_body_size`.
        package var bodyMax = "4g"
        /// Basic authentication, user and password.
        package var user: (name: String, password: String)?
        /// TLS with a certificate made for this server, and HTTP/2 on it; `caFile` is then set.
        package var tls = false
        /// Whether the WebDAV methods are on; without them only GET and HEAD work.
        package var dav = true
        /// How long an idle connection stays, as nginx writes times.
        package var keepAlive = "75s"
        package init() {}
    }

    package let port: UInt16
    /// `http://127.0.0.1:<port>` or `https://…`.
    package let url: String
    /// Where objects lie as files.
    package let root: String
    package let caFile: String?
    package let process: ChildProcess
    private let directory: ServerDirectory

    package static func start(_ options: Options = Options()) async throws -> NginxServer {
        try await startOnFreePort {
            try NginxServer(options, port: $0)
        } ready: {
            try await waitForPort($0.port, of: $0.process)
        }
    }

    private init(_ options: Options, port: UInt16) throws {
        let module = "/usr/lib/nginx/modules/ngx_http_dav_ext_module.so"
        let nginx = try InstalledServer.debian("nginx", package: "nginx-light libnginx-mod-http-dav-ext", needs: [module])
        directory = try ServerDirectory("nginx")
        self.port = port
        root = try directory.makeDirectory("files")
        url = "\(options.tls ? "https" : "http")://127.0.0.1:\(port)"
        var lines = ""
        if options.tls {
            let certificate = try SelfSignedCertificate.make(in: directory)
            caFile = certificate.certificate
            lines += "ssl_certificate \(certificate.certificate); ssl_certificate_key \(certificate.key);\n"
        } else {
            caFile = nil
        }
        if let user = options.user {
            let file = try directory.write("users", "\(user.name):{PLAIN}\(user.password)\n")
            lines += "auth_basic walship; auth_basic_user_file \(file);\n"
        }
        let dav = """
            dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; dav_access user:rw;
            create_full_put_path \(options.createsParents ? "on" : "off");
            """
        // Uploads wait on the file system of the files, so that nginx renames them into place and a cut one is never visible.
        let path = directory.path
        let configuration = try directory.write(
            "nginx.conf",
            """
            load_module \(module);
            daemon off; master_process off; pid \(path)/pid; error_log \(path)/error.log warn;
            events { worker_connections 512; }
            http {
              access_log off; keepalive_timeout \(options.keepAlive);
              client_body_temp_path \(path)/body; proxy_temp_path \(path)/proxy; fastcgi_temp_path \(path)/fastcgi;
              uwsgi_temp_path \(path)/uwsgi; scgi_temp_path \(path)/scgi;
              server {
                listen 127.0.0.1:\(port)\(options.tls ? " ssl http2" : ""); root \(root); client_max_body_size \(options.bodyMax);
                \(lines)
                location / { \(options.dav ? dav : "") }
              }
            }
            """)
        process = try ChildProcess(nginx, ["-e", "\(path)/error.log", "-p", path, "-c", configuration], in: path)
    }

    package func stop() { process.kill() }
}

/// A certificate for 127.0.0.1 that is its own authority.
enum SelfSignedCertificate {
    static func make(in directory: ServerDirectory) throws -> (certificate: String, key: String) {
        guard let openssl = ChildProcess.find("openssl") else {
            throw ServerError("openssl is not installed: apt-get install openssl")
        }
        let (certificate, key) = ("\(directory.path)/certificate.pem", "\(directory.path)/key.pem")
        let command = Process()
        command.executableURL = URL(fileURLWithPath: openssl)
        command.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
            "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
        ]
        command.standardError = FileHandle.nullDevice
        try command.run()
        command.waitUntilExit()
        guard command.terminationStatus == 0 else {
            throw ServerError("openssl made no certificate: status \(command.terminationStatus)")
        }
        return (certificate, key)
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
