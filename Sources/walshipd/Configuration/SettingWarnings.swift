import Archive

/// What can be used and is perhaps not meant: said by `run` at its start and by `run --check`.
enum SettingWarnings {
    static func of(_ destinations: [DestinationSettings]) -> [String] {
        destinations.flatMap(of) + sharedCredentials(destinations)
    }

    private static func of(_ destination: DestinationSettings) -> [String] {
        var warnings: [String] = []
        func warn(_ text: String) { warnings.append("\(destination.title): \(text)") }
        let address = destination.networkAddress
        if destination.ship.immutable, let interval = destination.ship.tailInterval {
            let objects = Int(86_400 / max(0.01, interval / .seconds(1)))
            warn("tails are kept for ever in an immutable archive: up to \(objects) objects a day and log (ship.tail-interval: \"off\" ships whole segments only)")
        }
        if address == nil, destination.ship.bandwidthLimit != nil { warn("ship.bandwidth-limit has no effect on file://") }
        if let address, address.hasPrefix("http://"), !isOnThisMachine(address) {
            let secret = destination.http.credentials != nil && !destination.isBucket ? ", and so does the password or token" : ""
            warn("what is shipped crosses the network unencrypted\(secret); use https://")
            if destination.isBucket, destination.s3.payload == .never {
                warn("s3.payload is unsigned without TLS: anybody on the way can change what is stored")
            }
        }
        return warnings
    }

    /// A user that holds for all is sent to all, also to the server that somebody else runs.
    private static func sharedCredentials(_ destinations: [DestinationSettings]) -> [String] {
        var hosts: [String: HTTPSettings.Credentials] = [:]
        for destination in destinations where !destination.isBucket {
            guard let host = destination.networkAddress.map(host), let credentials = destination.http.credentials else { continue }
            if let other = hosts.first(where: { $0.key != host && $0.value == credentials }) {
                return ["the same password or token is sent to \(other.key) and \(host); give each destination its own if they are not one's own"]
            }
            hosts[host] = credentials
        }
        return []
    }

    private static func host(_ address: String) -> String { address.split(separator: "/").dropFirst().first.map(String.init) ?? address }

    private static func isOnThisMachine(_ address: String) -> Bool {
        let host = host(address)
        return host.hasPrefix("127.") || host.hasPrefix("[::1]") || host == "localhost" || host.hasPrefix("localhost:")
    }
}

extension DestinationSettings {
    /// What messages call it.
    var title: String { name ?? identity }

    var isBucket: Bool { if case .s3 = base.place { true } else { false } }

    /// Where connections go; nil for a directory.
    var networkAddress: String? {
        switch base.place {
        case .directory: nil
        case .http(let address): address
        case .s3: s3.endpoint ?? "https://amazonaws.com"
        }
    }
}
