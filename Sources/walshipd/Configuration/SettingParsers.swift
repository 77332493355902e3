/// Parsers of settings with their ranges; each error says what is allowed.
enum SettingParsers {
    static func integer(_ range: ClosedRange<Int>) -> (String) throws(ArgumentTextError) -> Int {
        { (text: String) throws(ArgumentTextError) -> Int in
            guard let value = Int(text), range.contains(value) else {
                throw ArgumentTextError("expected a whole number from \(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
    }

    static func duration(_ range: ClosedRange<Duration>) -> (String) throws(ArgumentTextError) -> Duration {
        { (text: String) throws(ArgumentTextError) -> Duration in
            let value = try DurationText.parse(text)
            guard range.contains(value) else {
                throw ArgumentTextError(
                    "expected a duration from \(DurationText.format(range.lowerBound)) to \(DurationText.format(range.upperBound))"
                )
            }
            return value
        }
    }

    static func bytes(atLeast minimum: UInt64 = 0) -> (String) throws(ArgumentTextError) -> ByteSize {
        { (text: String) throws(ArgumentTextError) -> ByteSize in
            let value = try ByteSize.parse(text)
            guard value.bytes >= minimum else { throw ArgumentTextError("expected at least \(ByteSize(minimum))") }
            return value
        }
    }

    /// `off` (nil) or what `parse` reads.
    static func orOff<Value>(
        _ parse: @escaping (String) throws(ArgumentTextError) -> Value
    ) -> (String) throws(ArgumentTextError) -> Value? {
        { (text: String) throws(ArgumentTextError) -> Value? in
            // YAML 1.1 programs write a bare `off` as `false`.
            if text == "off" || text == "false" { return nil }
            do throws(ArgumentTextError) {
                return try parse(text)
            } catch {
                throw ArgumentTextError("\(error.description), or off")
            }
        }
    }

    /// As YAML 1.2 has it.
    static func yesOrNo(_ text: String) throws(ArgumentTextError) -> Bool {
        switch text {
        case "true": true
        case "false": false
        default: throw ArgumentTextError("expected true or false")
        }
    }

    static func word<Value: RawRepresentable & CaseIterable>(
        _ type: Value.Type
    ) -> (String) throws(ArgumentTextError) -> Value where Value.RawValue == String {
        { (text: String) throws(ArgumentTextError) -> Value in
            guard let value = Value(rawValue: text) else {
                throw ArgumentTextError("expected one of \(Value.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            return value
        }
    }

    static func nonEmpty(_ text: String) throws(ArgumentTextError) -> String {
        guard !text.isEmpty, !text.contains("\0") else { throw ArgumentTextError("expected a text that is not empty") }
        return text
    }
}
