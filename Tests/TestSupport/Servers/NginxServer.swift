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
        /// With TLS: whether it refuses clients without the certificate `client`.
        package var wantsClientCertificate = false
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
    /// The server's own key.
    package let keyFile: String?
    /// What it wants of clients.
    package let client: (certificate: String, key: String)?
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
            keyFile = certificate.key
            lines += "ssl_certificate \(certificate.certificate); ssl_certificate_key \(certificate.key);\n"
        } else {
            caFile = nil
            keyFile = nil
        }
        if options.wantsClientCertificate {
            let made = try SelfSignedCertificate.make("client", in: directory)
            client = made
            lines += "ssl_client_certificate \(made.certificate); ssl_verify_client on;\n"
        } else {
            client = nil
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
              log_format protocol "$server_protocol $request_method $status"; access_log \(path)/access.log protocol; keepalive_timeout \(options.keepAlive);
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

    /// What it was asked: protocol, method and status of each request.
    package func accesses() throws -> [String] {
        try String(contentsOfFile: "\(directory.path)/access.log", encoding: .utf8).split(separator: "\n").map(String.init)
    }

    package func stop() { process.kill() }
}
