//! What a reader can rely on in a chart, whatever its values are.

use super::*;

fn panel(series: Vec<Series>) -> Panel {
    Panel {
        x: Axis::new("round"),
        y: Axis::new("loss (nats)"),
        series,
    }
}

fn line(points: &[(f64, f64)]) -> Series {
    Series::new("run", Mark::Line, points.iter().map(|p| Point::new(p.0, p.1)).collect())
}

/// The three points of the one polyline that has three, in canvas pixels.
fn three(svg: &str) -> [(f64, f64); 3] {
    let lists = svg.split("points=\"").skip(1).filter_map(|tag| tag.split('"').next());
    let pair = |pair: &str| {
        let (x, y) = pair.split_once(',').expect("a pair");
        (x.parse().expect("a number"), y.parse().expect("a number"))
    };
    let mut lines = lists.map(|list| list.split_whitespace().map(pair).collect::<Vec<_>>());
    lines
        .find_map(|line| line.try_into().ok())
        .expect("a line of three points")
}

#[test]
fn known_points_lie_where_the_axes_say() {
    let svg = Figure::new("t", panel(vec![line(&[(0.0, 1.0), (5.0, 0.5), (10.0, 0.0)])]))
        .svg()
        .unwrap();
    let [first, middle, last] = three(&svg);
    assert!(first.0 < last.0 && first.1 < last.1, "{first:?} {last:?}");
    assert!((middle.0 - (first.0 + last.0) / 2.0).abs() <= 1.0, "{middle:?}");
    assert!((middle.1 - (first.1 + last.1) / 2.0).abs() <= 1.0, "{middle:?}");
    for label in ["round", "loss (nats)", "run", ">\n0.2\n<", ">\n10\n<"] {
        assert!(svg.contains(label), "{label}");
    }
}

#[test]
fn on_a_logarithmic_axis_equal_ratios_are_equal_distances() {
    let mut panel = panel(vec![line(&[(1.0, 1.0), (10.0, 1.0), (100.0, 1.0)])]);
    panel.x = Axis::new("epsilon").log();
    let [a, b, c] = three(&Figure::new("t", panel).svg().unwrap());
    assert!(
        ((b.0 - a.0) - (c.0 - b.0)).abs() <= 1.0 && b.0 > a.0,
        "{a:?} {b:?} {c:?}"
    );
}

#[test]
fn a_value_that_is_not_a_number_leaves_a_gap_and_no_nonsense() {
    let with = |y: f64| line(&[(0.0, 1.0), (1.0, 2.0), (2.0, y), (3.0, 2.0), (4.0, 1.0)]);
    let lines = |series| {
        let svg = Figure::new("t", panel(vec![series])).svg().unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        svg.matches("stroke-width=\"8\"").count()
    };
    // One more stretch, of the line itself; the legend's sample is in both.
    assert_eq!(lines(with(f64::NAN)), lines(with(1.5)) + 1);
    assert_eq!(lines(with(f64::INFINITY)), lines(with(1.5)) + 1);
}

#[test]
fn of_two_lines_that_coincide_both_are_seen() {
    let same = || line(&[(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]);
    let svg = Figure::new("t", panel((0..6).map(|_| same()).collect())).svg().unwrap();
    let pieces = |colour: &str| svg.matches(&format!("stroke=\"{colour}\"")).count();
    // Solid, then dashed on top: one piece in the plane and one in the legend, against many.
    assert_eq!(pieces("#009E73"), 2);
    assert!(pieces("#D55E00") > 10);
}

#[test]
fn nothing_to_show_is_an_empty_plane() {
    let figure = Figure::new(
        "nothing",
        panel(vec![line(&[]), line(&[(f64::NAN, f64::NAN)]), line(&[(1.0, 1.0)])]),
    );
    assert!(figure.svg().unwrap().contains("nothing"));
    assert!(
        Figure::new("nothing", panel(Vec::new()))
            .png()
            .unwrap()
            .starts_with(b"\x89PNG")
    );
}

#[test]
fn hostile_words_stay_words() {
    let mut hostile = line(&[(0.0, 1.0), (1.0, 2.0)]);
    hostile.name = "<script>alert('x')</script> & \"".into();
    let svg = Figure::new("</svg><script>", panel(vec![hostile])).svg().unwrap();
    assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;") && svg.contains("&lt;/svg&gt;"));
}

#[test]
fn words_without_room_are_cut_and_say_so() {
    let long = "a very long title of a chart ".repeat(20);
    let svg = Figure::new(long.clone(), panel(vec![line(&[(0.0, 1.0)])]))
        .svg()
        .unwrap();
    assert!(!svg.contains(long.trim()) && svg.contains("chart a very") && svg.contains("..."));
}

#[test]
fn a_picture_is_small_the_same_every_time_and_twice_as_dense_as_it_is_read() {
    let points: Vec<_> = (0..200).map(|i| (f64::from(i), (f64::from(i) / 9.0).sin())).collect();
    let figure = Figure::new("sine", panel(vec![line(&points)])).note("a note");
    let png = figure.png().unwrap();
    assert_eq!(png, figure.png().unwrap());
    assert_eq!(png[16..24], [1600u32.to_be_bytes(), 1000u32.to_be_bytes()].concat());
    assert!((5_000..60_000).contains(&png.len()), "{}", png.len());
    assert!(figure.svg().unwrap().contains("width=\"800\" height=\"500\""));
}

#[test]
fn the_pixels_of_a_picture_are_those_that_were_drawn() {
    let (white, blue) = ([255; 3], [0, 114, 178]);
    let pixels = [white, blue, blue, white];
    let png = raster::png(&pixels, 2).unwrap();
    let body = |kind: &[u8]| {
        let at = png.windows(4).position(|four| four == kind).unwrap();
        let length = u32::from_be_bytes(png[at - 4..at].try_into().unwrap()) as usize;
        png[at + 4..at + 4 + length].to_vec()
    };
    let mut rows = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&body(b"IDAT")[..]), &mut rows).unwrap();
    let palette = body(b"PLTE");
    let colour = |i: usize| <[u8; 3]>::try_from(&palette[3 * usize::from(rows[i])..][..3]).unwrap();
    // A row is its filter and two pixels.
    assert_eq!([colour(1), colour(2), colour(4), colour(5)], pixels);
    assert_eq!(
        raster::shrink(&[0, 0, 0, 255, 255, 255, 255, 255, 255, 0, 0, 0], 2, 2),
        [[128; 3]]
    );
}
