#!/bin/sh
# Clean whatever FFmpeg reads, and write whatever it writes:
#     examples/ffmpeg_pipe.sh rtsp://10.0.0.5/live clean.mkv
#     examples/ffmpeg_pipe.sh rainy.avi -c:v libx265 clean.mp4
# Needs streamderain, ffmpeg and ffprobe. What comes after the source goes to the writing ffmpeg as it is.
# A frame leaves as soon as it is clean: nothing waits for those after it.
set -eu
source=$1
shift
probe() {
    ffprobe -v error -select_streams v:0 -show_entries "stream=$1" -of csv=p=0:s=x "$source"
}
size=$(probe width,height)
rate=$(probe r_frame_rate)
# Recordings that are stored turned are better given to `streamderain clean` itself: here they stay so.
ffmpeg -v error -nostdin -noautorotate -i "$source" -f rawvideo -pix_fmt rgb24 -r "$rate" - |
    streamderain clean - --size "$size" --fps "$rate" --model "${MODEL:-video-s}" -o - |
    ffmpeg -v error -nostdin -y -f rawvideo -pix_fmt rgb24 -s "$size" -r "$rate" -i - "$@"
