import Archive

/// Which logs are being shipped, and which of those that patterns find are to be begun: a value that decides and does nothing.
///
/// No path is shipped twice and no name is used twice, because two logs in one archive would fence each other. A log that has ended is begun again only when
/// another one lies at its path.
struct KnownLogs {
    private enum State: Hashable { case shipping, ended(LogFinder.Identity) }
    private var states: [String: State] = [:]
    private var names: [String: String] = [:]
    /// What was said already, so that it is said once.
    private var told: [String: String] = [:]
    let limit: Int

    /// `listed` are shipped whether they are there or not.
    init(listed: [LogSettings], limit: Int = RunLimits.logsMax) {
        self.limit = limit
        for log in listed {
            states[log.path] = .shipping
            names[log.name.text] = log.path
        }
    }

    struct Decision {
        var begin: [LogFinder.Found] = []
        /// To be told, once each: path and reason.
        var refused: [(path: String, reason: String)] = []
    }

    mutating func take(_ result: LogFinder.Result) -> Decision {
        var decision = Decision()
        var refused = result.refused
        for found in result.found {
            let (path, name) = (found.log.path, found.log.name.text)
            switch states[path] {
            case .shipping: continue
            case .ended(let identity) where identity == found.identity: continue
            case .ended, nil: break
            }
            if let other = names[name], other != path {
                refused[path] = "its name, '\(name)', is that of \(other); list one of the two with a name of its own"
            } else if states.values.count(where: { $0 == .shipping }) >= limit {
                refused[path] = "\(limit) logs are shipped already, as many as one program may; run another one for the rest"
            } else {
                states[path] = .shipping
                names[name] = path
                decision.begin.append(found)
            }
        }
        for (path, reason) in refused.sorted(by: { $0.key < $1.key }) where told[path] != reason { decision.refused.append((path, reason)) }
        told = refused
        return decision
    }

    /// `identity` is the one that it had; nil: it is gone, and whatever comes to its path is another log.
    mutating func ended(_ found: LogFinder.Found, _ identity: LogFinder.Identity?) {
        // While it is there, its archive is its own, shipped or not.
        if identity == nil { names[found.log.name.text] = nil }
        states[found.log.path] = identity.map { .ended($0) }
    }
}
