import WAL

/// The forms that fields of every document share. Each reader throws `DecodingError`, which `ArchiveDocument` turns into an
/// `ArchiveError` that names the field.
extension KeyedDecodingContainer {
    /// `format`: the version of the document. Only 1 is read.
    func checkFormat(_ key: Key) throws {
        let format = try number(key)
        guard format == DocumentFormat.current else {
            throw malformed(key, "version \(format) is not one this version reads (\(DocumentFormat.current))")
        }
    }

    /// A whole JSON number. Foundation throws an error of its own for one that does not fit, and then reports it as if the text
    /// were no JSON.
    func number(_ key: Key) throws -> UInt64 {
        do {
            return try decode(UInt64.self, forKey: key)
        } catch let error as DecodingError {
            throw error
        } catch {
            throw malformed(key, "not a whole number")
        }
    }

    /// A 64-bit number as a decimal string: no sign, no space, no leading zero.
    func decimal(_ key: Key) throws -> UInt64 {
        let text = try decode(String.self, forKey: key)
        guard let value = UInt64(text), String(value) == text else { throw malformed(key, "not a decimal number in a string") }
        return value
    }

    func lsn(_ key: Key) throws -> LSN {
        let lsn = LSN(try decimal(key))
        guard lsn <= ArchiveLimits.lsnMax else { throw malformed(key, "past the largest position") }
        return lsn
    }

    /// An LSN or an explicit null. A missing field is refused like any other.
    func lsnOrNull(_ key: Key) throws -> LSN? {
        try decodeNil(forKey: key) ? nil : lsn(key)
    }

    /// An epoch's name, in two fields.
    func epoch(_ numberKey: Key, _ idKey: Key) throws -> EpochName {
        let number = try number(numberKey)
        guard EpochName.isValid(number: number) else { throw malformed(numberKey, "not between 1 and \(ArchiveLimits.epochNumberMax)") }
        let text = try decode(String.self, forKey: idKey)
        guard HexPair.isLowerCaseHex(text), let id = EpochID(hex: text) else { throw malformed(idKey, "not sixteen lower-case hex digits") }
        return EpochName(number: number, id: id)
    }

    /// A logID, as it is written: there is one text for each.
    func logID(_ key: Key) throws -> LogID {
        let text = try decode(String.self, forKey: key)
        guard let logID = LogID(text), logID.description == text else { throw malformed(key, "not a UUID in lower case") }
        return logID
    }

    func archiveID(_ key: Key) throws -> ArchiveID {
        guard let archiveID = ArchiveID(hex: try decode(String.self, forKey: key)) else { throw malformed(key, "not thirty-two lower-case hex digits") }
        return archiveID
    }

    func text(_ key: Key) throws -> String {
        let text = try decode(String.self, forKey: key)
        guard DocumentText.isPrintable(text) else {
            throw malformed(key, "longer than \(ArchiveLimits.textSizeMax) bytes, or with control characters")
        }
        return text
    }

    func malformed(_ key: Key, _ reason: String) -> DecodingError {
        DecodingError.dataCorruptedError(forKey: key, in: self, debugDescription: reason)
    }
}

extension KeyedEncodingContainer {
    mutating func encodeFormat(_ key: Key) throws { try encode(DocumentFormat.current, forKey: key) }
    mutating func encodeDecimal(_ value: UInt64, _ key: Key) throws { try encode(String(value), forKey: key) }
    mutating func encodeLSN(_ lsn: LSN, _ key: Key) throws { try encodeDecimal(lsn.rawValue, key) }
    mutating func encodeLSNOrNull(_ lsn: LSN?, _ key: Key) throws {
        if let lsn { try encodeLSN(lsn, key) } else { try encodeNil(forKey: key) }
    }
    mutating func encode(_ epoch: EpochName, _ numberKey: Key, _ idKey: Key) throws {
        try encode(epoch.number, forKey: numberKey)
        try encode(epoch.id.description, forKey: idKey)
    }
}

enum DocumentFormat {
    static let current: UInt64 = 1
}

/// Words in documents: they come from outside and end up on terminals.
enum DocumentText {
    static func isPrintable(_ text: String) -> Bool {
        text.utf8.count <= ArchiveLimits.textSizeMax && text.unicodeScalars.allSatisfy(isPrintable)
    }

    /// `text` with control characters replaced by `?`, cut at a character so that it fits.
    static func printable(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            let kept = isPrintable(scalar) ? scalar : "?"
            guard result.utf8.count + kept.utf8.count <= ArchiveLimits.textSizeMax else { break }
            result.unicodeScalars.append(kept)
        }
        return result
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory != .control
    }
}
