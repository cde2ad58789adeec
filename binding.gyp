# Tells npm and node-gyp that this package has an addon, and hands the build over
# to cmake-js: `npx node-gyp rebuild` ends with build/Release/cleric.node, like
# `npm run build:addon`. Which files are compiled, and how, is in CMakeLists.txt.
{
  'targets': [
    {
      'target_name': 'cleric',
      'type': 'none',
      'actions': [
        {
          'action_name': 'cmake-js',
          'inputs': ['CMakeLists.txt'],
          # Never made, so that the action always runs: CMake knows what is out of date.
          'outputs': ['<(module_root_dir)/build/always'],
          'action': ['node', '<!(node -p "require.resolve(\'cmake-js/bin/cmake-js\')")', 'compile',
                     '--directory', '<(module_root_dir)'],
        },
      ],
    },
  ],
}
