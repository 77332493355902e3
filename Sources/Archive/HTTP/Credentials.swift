/// What proves to a server who we are. Prints as its kind only, in descriptions and dumps alike.
public enum Credentials: Hashable, Sendable {
    case basic(user: String, password: String)
    case bearer(token: String)
}

extension Credentials: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String {
        switch self {
        case .basic: "basic (not shown)"
        case .bearer: "bearer (not shown)"
        }
    }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
