use super::*;

const REPOSITORY: RepositoryId = RepositoryId([0xe1; 16]);
const BLOCK: u64 = BLOCK_LEN as u64;

fn member(id: u8, len: u64, first_row: u32, column: u8) -> Member {
    Member { pack: PackId([id; 32]), len, first_row, column }
}

/// Three members of different lengths, one of which does not begin in the first row; two shards.
fn group() -> Group {
    Group {
        id: GroupId([7; 32]),
        class: Class::Structure,
        domain: DomainId([0xd0; 16]),
        session: SessionId([0x5e; 16]),
        suite: Suite::X25519,
        repository: REPOSITORY,
        shards: 2,
        rows: 3,
        members: vec![member(3, 1, 0, 0), member(1, 2 * BLOCK + 1, 0, 100), member(2, BLOCK, 2, 239)],
    }
}

fn parse(bytes: &[u8]) -> Result<(u8, Group), FormatError> {
    Group::parse_front(bytes, Suite::X25519, REPOSITORY)
}

fn rule_of<T: std::fmt::Debug>(parsed: Result<T, FormatError>) -> &'static str {
    match parsed.unwrap_err() {
        FormatError::Broken { rule, .. } => rule,
        other => panic!("{other}"),
    }
}

/// The rule that a front is refused for, whose digest is right.
fn refused(change: impl FnOnce(&mut Group)) -> &'static str {
    let mut group = group();
    change(&mut group);
    rule_of(parse(&group.encode_front(1)))
}

/// The rule that a front is refused for after some of its bytes were written over and its digest was made anew.
fn refused_bytes(at: usize, bytes: &[u8]) -> &'static str {
    let mut front = group().encode_front(1);
    front[at..at + bytes.len()].copy_from_slice(bytes);
    let body = front.len() - DIGEST_LEN;
    let digest = blake3_256(&front[..body]);
    front[body..].copy_from_slice(&digest);
    rule_of(parse(&front))
}

#[test]
fn a_front_says_what_was_written_whatever_follows_it() {
    let group = group();
    for number in 0..group.shards {
        let mut front = group.encode_front(number);
        assert_eq!(front.len(), front_len(3));
        assert_eq!(parse(&front), Ok((number, group.clone())));
        front.extend([0xff; 5000]);
        assert_eq!(parse(&front), Ok((number, group.clone())));
    }
    assert_eq!(parse_trailer(group.encode_trailer()), Ok(front_len(3)));
}

#[test]
fn no_front_that_is_cut_or_has_a_flipped_bit_is_read() {
    let front = group().encode_front(0);
    for len in 0..front.len() {
        assert!(parse(&front[..len]).is_err(), "cut to {len} bytes");
    }
    for bit in 0..8 * front.len() {
        let mut flipped = front.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(parse(&flipped).is_err(), "bit {bit}");
    }
    let trailer = group().encode_trailer();
    for bit in 0..8 * TRAILER_LEN {
        let mut flipped = trailer;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(rule_of(parse_trailer(flipped)), RULE, "bit {bit}");
    }
}

#[test]
fn a_front_of_another_repository_suite_or_kind_is_refused() {
    let front = group().encode_front(0);
    assert_eq!(rule_of(Group::parse_front(&front, Suite::X25519, RepositoryId([0xe2; 16]))), "R-PREFIX-1");
    assert_eq!(rule_of(Group::parse_front(&front, Suite::Plain, REPOSITORY)), "R-PREFIX-1");
    assert_eq!(refused(|group| group.class = Class::None), "R-PREFIX-1");
    assert_eq!(refused_bytes(10, &[1]), "R-PREFIX-1");
}

#[test]
fn groups_have_one_to_200_members_and_the_longest_front_fits_its_limit() {
    let with = |count: usize| {
        let members = (0..count).map(|at| member(at as u8, 1, 0, at as u8)).collect();
        Group { members, rows: 1, ..group() }
    };
    for count in [1, MAX_GROUP_MEMBERS] {
        let front = with(count).encode_front(0);
        assert!(front.len() <= MAX_FRONT_LEN);
        assert_eq!(parse(&front).unwrap().1, with(count));
    }
    for count in [0, MAX_GROUP_MEMBERS + 1, 239] {
        let group = with(count);
        assert_eq!(rule_of(parse(&group.encode_front(0))), RULE);
        assert_eq!(rule_of(parse_trailer(group.encode_trailer())), RULE);
    }
    // More members than there are bytes.
    assert_eq!(rule_of(parse(&with(1).encode_front(0)[..HEAD_LEN])), RULE);
}

#[test]
fn numbers_of_shards_are_below_their_count_which_is_one_to_16() {
    for (number, shards) in [(0, 0), (2, 2), (3, 2), (16, 17), (0, 17), (255, 255)] {
        assert_eq!(refused_bytes(96, &[number, shards]), LIMITS, "{number} of {shards}");
    }
    let most = Group { shards: 16, ..group() };
    assert_eq!(parse(&most.encode_front(15)), Ok((15, most)));
}

#[test]
fn reserved_fields_are_zero() {
    for at in (104..112).chain((0..3).flat_map(|place| (157..160).map(move |byte| byte + MEMBER_LEN * place)))
    {
        assert_eq!(refused_bytes(at, &[1]), LIMITS, "offset {at}");
    }
}

#[test]
fn members_reach_no_row_beyond_the_last_one_however_long_they_say_they_are() {
    let longest = u64::from(MAX_GROUP_ROWS) * BLOCK;
    let with = |len, first_row, rows| Group { members: vec![member(1, len, first_row, 9)], rows, ..group() };
    let good = |group: Group| assert_eq!(parse(&group.encode_front(0)), Ok((0, group.clone())));
    good(with(1, 0, 1));
    good(with(longest, 0, MAX_GROUP_ROWS));
    good(with(BLOCK, MAX_GROUP_ROWS - 1, MAX_GROUP_ROWS));
    for (len, first_row, rows) in [
        (0, 0, 0),
        (0, 1, 1),
        (longest + 1, 0, MAX_GROUP_ROWS + 1),
        (BLOCK + 1, MAX_GROUP_ROWS - 1, MAX_GROUP_ROWS + 1),
        (1, MAX_GROUP_ROWS, MAX_GROUP_ROWS + 1),
        (1, u32::MAX, 0),
        (u64::MAX, 0, 0),
        (u64::MAX, u32::MAX, u32::MAX),
        // As many blocks as 32 bits cannot count, and one.
        ((1 << 32) * BLOCK + 1, 0, 1),
    ] {
        let front = with(len, first_row, rows).encode_front(0);
        assert_eq!(rule_of(parse(&front)), LIMITS, "{len} bytes from row {first_row}");
    }
    // Nor has one that was not read a wrong number of blocks.
    assert_eq!(member(1, u64::MAX, 0, 0).blocks(), u32::MAX);
}

#[test]
fn rows_are_those_of_the_member_that_reaches_farthest() {
    for rows in [0, 2, 4, u32::MAX] {
        assert_eq!(refused(|group| group.rows = rows), LIMITS, "{rows} rows");
    }
}

#[test]
fn columns_ascend_below_240_and_no_pack_is_there_twice() {
    assert_eq!(refused(|group| group.members.swap(0, 1)), ORDER);
    assert_eq!(refused(|group| group.members[1].column = 0), ORDER);
    assert_eq!(refused(|group| group.members[2].column = 240), ORDER);
    assert_eq!(refused(|group| group.members[2].pack = group.members[0].pack), ORDER);
}

#[test]
fn the_parts_of_a_shard_stand_one_behind_the_other() {
    let group = group();
    let layout = group.layout();
    let (front, record) = (front_len(3) as u64, record_len(3, 2) as u64);
    assert_eq!((front, record), (144 + 3 * 48, 16 * 6));
    for row in 0..3_u32 {
        let own = u64::from(row);
        let first = front + own * record;
        let rows = front + 3 * record;
        assert_eq!(layout.row(row), rows + own * BLOCK);
        // The second member ends a byte behind two rows, the third one at the end of the third.
        assert_eq!(layout.records(row), [first, rows + 3 * BLOCK + own * record]);
    }
    assert_eq!(layout.file_len(), layout.records(2)[1] + record + front + TRAILER_LEN as u64);
    // The last row ends where the longest member does.
    let shorter = Group { members: group.members[..2].to_vec(), ..group.clone() }.layout();
    let rows = front_len(2) as u64 + 3 * record_len(2, 2) as u64;
    assert_eq!(shorter.row(0), rows);
    assert_eq!(shorter.records(0)[1], rows + 2 * BLOCK + 1);
    assert_eq!(shorter.file_len(), 2 * rows + 2 * BLOCK + 1 + TRAILER_LEN as u64);
    let lens = [(0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (0, 9), (3, 1), (u32::MAX, u32::MAX)];
    let lens = lens.map(|(row, count)| shorter.rows_len(row, count));
    assert_eq!(lens, [BLOCK_LEN, BLOCK_LEN, 1, 2 * BLOCK_LEN, BLOCK_LEN + 1, 2 * BLOCK_LEN + 1, 0, 0]);
    // The largest shard: nothing overflows.
    let members = (0..200).map(|at| member(at, u64::from(MAX_GROUP_ROWS) * BLOCK, 0, at)).collect();
    let largest = Group { shards: 16, rows: MAX_GROUP_ROWS, members, ..group };
    let rows = u64::from(MAX_GROUP_ROWS);
    assert_eq!(largest.layout().file_len(), 2 * 9744 + rows * (BLOCK + 2 * 3472) + 8);
}

#[test]
fn a_member_has_a_block_in_its_own_rows_only_and_the_last_one_may_be_short() {
    let [short, long, late] = group().members.try_into().unwrap();
    assert_eq!([0, 1, 2, 3].map(|row| short.block_in(row)), [Some((0, 1)), None, None, None]);
    let whole = Some(BLOCK_LEN);
    assert_eq!([0, 1, 2, 3].map(|row| long.block_in(row).map(|(_, len)| len)), [whole, whole, Some(1), None]);
    assert_eq!([0, 1, 2, 3].map(|row| late.block_in(row)), [None, None, Some((0, BLOCK_LEN)), None]);
    assert_eq!(late.block_in(u32::MAX), None);
}

fn record(group: &Group, row: u32) -> (RowSums, Vec<u8>) {
    let sum = |member: &Member| {
        let (block, len) = member.block_in(row)?;
        Some(BlockSum([member.column ^ block as u8 ^ len as u8; 16]))
    };
    let sums = RowSums {
        members: group.members.iter().map(sum).collect(),
        shards: (0..group.shards).map(|shard| BlockSum([0x80 | shard; 16])).collect(),
    };
    let mut bytes = Vec::new();
    group.encode_record(row, &sums, &mut bytes);
    (sums, bytes)
}

#[test]
fn records_say_what_was_written_and_only_of_their_own_row_and_group() {
    let group = group();
    let other = Group { id: GroupId([8; 32]), ..group.clone() };
    for row in 0..3 {
        let (sums, bytes) = record(&group, row);
        assert_eq!(bytes.len(), record_len(3, 2));
        assert_eq!(group.parse_record(row, &bytes), Ok(sums));
        assert_eq!(rule_of(group.parse_record(row + 1, &bytes)), RECORDS);
        assert_eq!(rule_of(other.parse_record(row, &bytes)), RECORDS);
    }
}

#[test]
fn no_record_that_is_cut_longer_or_has_a_flipped_bit_is_read() {
    let group = group();
    let (_, bytes) = record(&group, 0);
    for len in 0..bytes.len() {
        assert_eq!(rule_of(group.parse_record(0, &bytes[..len])), RECORDS, "cut to {len} bytes");
    }
    assert_eq!(rule_of(group.parse_record(0, &[bytes.as_slice(), &[0; 16]].concat())), RECORDS);
    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(rule_of(group.parse_record(0, &flipped)), RECORDS, "bit {bit}");
    }
}

#[test]
fn a_record_has_no_checksum_where_there_is_no_block() {
    let group = group();
    let (mut sums, _) = record(&group, 1);
    assert_eq!(sums.members.iter().filter(|sum| sum.is_some()).count(), 1);
    sums.members[0] = Some(BlockSum([1; 16]));
    let mut bytes = Vec::new();
    group.encode_record(1, &sums, &mut bytes);
    assert_eq!(rule_of(group.parse_record(1, &bytes)), RECORDS);
}
